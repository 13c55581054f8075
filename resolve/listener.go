package resolve

import (
	"slices"
	"strings"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/hostname"
	"sluice.io/sluice/resolve/object"
)

// listenerKey names one listener of a Gateway or of a ListenerSet.
type listenerKey struct {
	parent model.ObjectRef
	name   string
}

// listener is one listener of a gateway as its own fields, and what they refer
// to, make it.
type listener struct {
	listenerKey
	gateway  object.Name
	port     uint16
	protocol gatewayv1.ProtocolType
	domain   string   // what its hostname stands for
	kinds    []string // the routes that may attach
	doorway  doorway
	origin   model.Origin

	refused    *finding.Finding   // it is not accepted
	conflicted bool               // and that is because of other listeners
	unresolved []*finding.Finding // references that lead nowhere
	tls        *model.TLS
	useless    bool // accepted, and nothing to serve with
}

// sound reports whether the listener has something to serve with.
func (l *listener) sound() bool { return l.refused == nil && !l.useless }

// byHost reports whether routes are chosen by host names.
func (l *listener) byHost() bool {
	return l.protocol == gatewayv1.HTTPProtocolType || l.protocol == gatewayv1.HTTPSProtocolType
}

// secure reports whether connections begin with TLS.
func (l *listener) secure() bool {
	return l.protocol == gatewayv1.HTTPSProtocolType || l.protocol == gatewayv1.TLSProtocolType
}

// portKey is the port that the listener is served on.
func (l *listener) portKey() model.PortKey {
	k := model.PortKey{Gateway: model.GatewayKey{Namespace: l.gateway.Namespace, Name: l.gateway.Name}, Port: l.port, Protocol: model.TCP}
	if l.protocol == gatewayv1.UDPProtocolType {
		k.Protocol = model.UDP
	}
	return k
}

// plainChain is the chain of all HTTP listeners of a port: nothing tells their
// connections apart.
const plainChain = "http"

// chain names what the listener's connections go to.
func (l *listener) chain() string {
	switch {
	case l.protocol == gatewayv1.HTTPProtocolType:
		return plainChain
	case l.parent.Kind == object.KindListenerSet:
		return l.parent.Namespace + "/" + l.parent.Name + "/" + l.name
	}
	return l.name
}

// hostKey is where a domain of the listener is served.
func (l *listener) hostKey(domain string) model.HostKey {
	return model.HostKey{Port: l.portKey(), Chain: l.chain(), Domain: domain}
}

// same reports whether routes attach to two states of a listener alike, and are
// served in the same place.
func (l *listener) same(o *listener) bool {
	return l.gateway == o.gateway && l.port == o.port && l.protocol == o.protocol && l.domain == o.domain &&
		slices.Equal(l.kinds, o.kinds) && l.doorway.String() == o.doorway.String()
}

// routeKinds are the kinds of routes that go with each protocol.
var routeKinds = map[gatewayv1.ProtocolType][]string{
	gatewayv1.HTTPProtocolType:  {object.KindHTTPRoute, object.KindGRPCRoute},
	gatewayv1.HTTPSProtocolType: {object.KindHTTPRoute, object.KindGRPCRoute},
	gatewayv1.TLSProtocolType:   {object.KindTLSRoute},
	gatewayv1.TCPProtocolType:   {object.KindTCPRoute},
	gatewayv1.UDPProtocolType:   {object.KindUDPRoute},
}

// newListener reads a listener's own fields.
func newListener(k listenerKey, gateway object.Name, in *gatewayv1.Listener, origin model.Origin) *listener {
	l := &listener{
		listenerKey: k, gateway: gateway, port: uint16(in.Port), protocol: in.Protocol,
		domain: hostname.Any, kinds: []string{}, origin: origin,
	}
	known := routeKinds[in.Protocol]
	if known == nil {
		l.refused = finding.New(finding.UnsupportedProtocol, "protocol %q is not served: HTTP, HTTPS, TLS, TCP and UDP are", in.Protocol)
	}
	if in.Port < 1 || in.Port > 65535 {
		l.refuse(finding.Unsupported("port %d is not between 1 and 65535", in.Port))
	}
	if l.byHost() || l.secure() {
		l.domain = hostname.Domain(string(ptr.Deref(in.Hostname, "")))
	}
	l.admit(in.AllowedRoutes, known)
	return l
}

// refuse makes the listener not accepted, unless it already is not.
func (l *listener) refuse(f *finding.Finding) {
	if l.refused == nil {
		l.refused = f
	}
}

func (l *listener) unresolve(reason, format string, args ...any) {
	l.unresolved = append(l.unresolved, finding.New(reason, format, args...))
}

// admit reads allowedRoutes.
func (l *listener) admit(in *gatewayv1.AllowedRoutes, known []string) {
	var kinds []gatewayv1.RouteGroupKind
	var namespaces gatewayv1.RouteNamespaces
	if in != nil {
		kinds, namespaces = in.Kinds, ptr.Deref(in.Namespaces, namespaces)
	}
	d, f := newDoorway(namespaces.From, gatewayv1.NamespacesFromSame, namespaces.Selector)
	if l.doorway = d; f != nil {
		l.refuse(f)
	}
	if len(kinds) == 0 {
		l.kinds = append(l.kinds, known...)
		return
	}
	for _, k := range kinds {
		kind := string(k.Kind)
		switch {
		case ptr.Deref(k.Group, gatewayv1.GroupName) != gatewayv1.GroupName || !slices.Contains(known, kind):
			l.unresolve(string(gatewayv1.ListenerReasonInvalidRouteKinds), "allowedRoutes.kinds names %s, which does not go with protocol %s: %s", kind, l.protocol, allowed(known))
		case !slices.Contains(l.kinds, kind):
			l.kinds = append(l.kinds, kind)
		}
	}
	l.useless = len(l.kinds) == 0
}

func allowed(known []string) string {
	if len(known) == 0 {
		return "no kind does"
	}
	return strings.Join(known, ", ") + " would"
}
