package object

// GroupKind writes a kind, with its group when that is not the core's.
func GroupKind(kind, group string) string {
	if group == "" {
		return kind
	}
	return kind + "." + group
}

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
	KindDefinition       = "CustomResourceDefinition"
)
