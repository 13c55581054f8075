package object

// The kinds that resolve reads.
const (
	KindService       = "Service"
	KindEndpointSlice = "EndpointSlice"
	KindWorkload      = "Workload"
	KindHTTPRoute     = "HTTPRoute"
	KindGRPCRoute     = "GRPCRoute"
	KindTCPRoute      = "TCPRoute"
	KindUDPRoute      = "UDPRoute"
	KindTLSRoute      = "TLSRoute"

	KindGatewayClass     = "GatewayClass"
	KindGateway          = "Gateway"
	KindListenerSet      = "ListenerSet"
	KindReferenceGrant   = "ReferenceGrant"
	KindBackendTLSPolicy = "BackendTLSPolicy"
	KindSecret           = "Secret"
	KindConfigMap        = "ConfigMap"
	KindNamespace        = "Namespace"
	KindAddressPool      = "AddressPool"
	KindParameters       = "GatewayParameters"
)
