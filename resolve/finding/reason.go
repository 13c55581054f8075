package finding

import (
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// The reasons that resolve gives. See docs/routes.md.
const (
	Accepted            = string(gatewayv1.RouteReasonAccepted)
	ResolvedRefs        = string(gatewayv1.RouteReasonResolvedRefs)
	NoMatchingParent    = string(gatewayv1.RouteReasonNoMatchingParent)
	UnsupportedValue    = string(gatewayv1.RouteReasonUnsupportedValue)
	IncompatibleFilters = string(gatewayv1.RouteReasonIncompatibleFilters)
	InvalidKind         = string(gatewayv1.RouteReasonInvalidKind)
	BackendNotFound     = string(gatewayv1.RouteReasonBackendNotFound)
	UnsupportedProtocol = string(gatewayv1.RouteReasonUnsupportedProtocol)
	Programmed          = string(gatewayv1.GatewayReasonProgrammed)
	ListenersNotValid   = string(gatewayv1.GatewayReasonListenersNotValid)
	InvalidParameters   = string(gatewayv1.GatewayReasonInvalidParameters)
	NotAllowed          = string(gatewayv1.ListenerSetReasonNotAllowed)
	AddressNotUsable    = string(gatewayv1.GatewayReasonAddressNotUsable)
	RefNotPermitted     = string(gatewayv1.RouteReasonRefNotPermitted)
	Conflicted          = "Conflicted"        // a more specific kind of route has the port
	OlderRoute          = "OlderRoute"        // an older route of the same kind has the port
	UnsupportedFilter   = "UnsupportedFilter" // a standard filter that Sluice lacks

	NoAddress              = "NoAddress"
	InvalidAddress         = "InvalidAddress"
	AddressInUse           = "AddressInUse"
	InvalidPort            = "InvalidPort"
	NoService              = "NoService"
	NoMatchingPort         = "NoMatchingPort"
	UnsupportedAddressType = "UnsupportedAddressType"
	Invalid                = "Invalid"
)
