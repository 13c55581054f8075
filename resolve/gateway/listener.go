package gateway

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

// ListenerKey names one listener of a Gateway or of a ListenerSet.
type ListenerKey struct {
	Parent model.ObjectRef
	Name   string
}

// Listener is one listener of a gateway as its own fields, and what they refer
// to, make it.
type Listener struct {
	ListenerKey
	Gateway  object.Name
	Port     uint16
	Protocol gatewayv1.ProtocolType
	Domain   string   // what its hostname stands for
	Kinds    []string // the routes that may attach
	doorway  doorway  // and from where
	Origin   model.Origin

	Refused    *finding.Finding   // it is not accepted
	Conflicted bool               // and that is because of other listeners
	Unresolved []*finding.Finding // references that lead nowhere
	TLS        *model.TLS
	Useless    bool // accepted, and nothing to serve with

	settings *gatewayv1.ListenerTLSConfig
}

// Admits reports whether a route may attach, given the namespaces' labels.
func (l *Listener) Admits(route model.ObjectRef, labelsOf Labels) bool {
	return slices.Contains(l.Kinds, route.Kind) && l.doorway.admits(l.Parent.Namespace, route.Namespace, labelsOf)
}

// sound reports whether the listener has something to serve with.
func (l *Listener) sound() bool { return l.Refused == nil && !l.Useless }

// ByHost reports whether routes are chosen by host names.
func (l *Listener) ByHost() bool {
	return l.Protocol == gatewayv1.HTTPProtocolType || l.Protocol == gatewayv1.HTTPSProtocolType
}

// Secure reports whether connections begin with TLS.
func (l *Listener) Secure() bool {
	return l.Protocol == gatewayv1.HTTPSProtocolType || l.Protocol == gatewayv1.TLSProtocolType
}

// PortKey is the port that the listener is served on.
func (l *Listener) PortKey() model.PortKey {
	k := model.PortKey{Gateway: model.GatewayKey{Namespace: l.Gateway.Namespace, Name: l.Gateway.Name}, Port: l.Port, Protocol: model.TCP}
	if l.Protocol == gatewayv1.UDPProtocolType {
		k.Protocol = model.UDP
	}
	return k
}

// plainChain is the chain of all HTTP listeners of a port: nothing tells their
// connections apart.
const plainChain = "http"

// Chain names what the listener's connections go to.
func (l *Listener) Chain() string {
	switch {
	case l.Protocol == gatewayv1.HTTPProtocolType:
		return plainChain
	case l.Parent.Kind == object.KindListenerSet:
		return l.Parent.Namespace + "/" + l.Parent.Name + "/" + l.Name
	}
	return l.Name
}

// HostKey is where a domain of the listener is served.
func (l *Listener) HostKey(domain string) model.HostKey {
	return model.HostKey{Port: l.PortKey(), Chain: l.Chain(), Domain: domain}
}

// same reports whether routes attach to two states of a listener alike, and are
// served in the same place.
func (l *Listener) same(o *Listener) bool {
	return l.Gateway == o.Gateway && l.Port == o.Port && l.Protocol == o.Protocol && l.Domain == o.Domain &&
		slices.Equal(l.Kinds, o.Kinds) && l.doorway.String() == o.doorway.String()
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
func newListener(k ListenerKey, gateway object.Name, in *gatewayv1.Listener, origin model.Origin) *Listener {
	l := &Listener{
		ListenerKey: k, Gateway: gateway, Port: uint16(in.Port), Protocol: in.Protocol,
		Domain: hostname.Any, Kinds: []string{}, settings: in.TLS, Origin: origin,
	}
	known := routeKinds[in.Protocol]
	if known == nil {
		l.Refused = finding.New(finding.UnsupportedProtocol, "protocol %q is not served: HTTP, HTTPS, TLS, TCP and UDP are", in.Protocol)
	}
	if in.Port < 1 || in.Port > 65535 {
		l.refuse(finding.Unsupported("port %d is not between 1 and 65535", in.Port))
	}
	if l.ByHost() || l.Secure() {
		l.Domain = hostname.Domain(string(ptr.Deref(in.Hostname, "")))
	}
	l.admit(in.AllowedRoutes, known)
	return l
}

// refuse makes the listener not accepted, unless it already is not.
func (l *Listener) refuse(f *finding.Finding) {
	if l.Refused == nil {
		l.Refused = f
	}
}

func (l *Listener) unresolve(reason, format string, args ...any) {
	l.Unresolved = append(l.Unresolved, finding.New(reason, format, args...))
}

// admit reads allowedRoutes.
func (l *Listener) admit(in *gatewayv1.AllowedRoutes, known []string) {
	var kinds []gatewayv1.RouteGroupKind
	var namespaces gatewayv1.RouteNamespaces
	if in != nil {
		kinds, namespaces = in.Kinds, ptr.Deref(in.Namespaces, namespaces)
	}
	d, f := newdoorway(namespaces.From, gatewayv1.NamespacesFromSame, namespaces.Selector)
	if l.doorway = d; f != nil {
		l.refuse(f)
	}
	if len(kinds) == 0 {
		l.Kinds = append(l.Kinds, known...)
		return
	}
	for _, k := range kinds {
		kind := string(k.Kind)
		switch {
		case ptr.Deref(k.Group, gatewayv1.GroupName) != gatewayv1.GroupName || !slices.Contains(known, kind):
			l.unresolve(string(gatewayv1.ListenerReasonInvalidRouteKinds), "allowedRoutes.kinds names %s, which does not go with protocol %s: %s", kind, l.Protocol, allowed(known))
		case !slices.Contains(l.Kinds, kind):
			l.Kinds = append(l.Kinds, kind)
		}
	}
	l.Useless = len(l.Kinds) == 0
}

func allowed(known []string) string {
	if len(known) == 0 {
		return "no kind does"
	}
	return strings.Join(known, ", ") + " would"
}

// Domains are those that a route has on a listener, each with the most specific
// of the route's own host names that it comes from.
type Domains map[string]string

// DomainsOf intersects a route's host names with the listener's.
func (l *Listener) DomainsOf(hostnames []string) Domains {
	if l.layer() == rawLayer {
		return Domains{hostname.Any: hostname.Any}
	}
	if len(hostnames) == 0 {
		return Domains{l.Domain: hostname.Any}
	}
	ds := Domains{}
	for _, h := range hostnames {
		d, ok := hostname.Intersect(l.Domain, h)
		if !ok {
			continue
		}
		if was, twice := ds[d]; !twice || hostname.Compare(h, was) < 0 {
			ds[d] = h
		}
	}
	return ds
}
