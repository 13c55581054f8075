// Package rules compiles what the rules of a route say: the matches, filters,
// policies and backends of an HTTPRoute or GRPCRoute, and the backends of a
// TLSRoute, TCPRoute or UDPRoute, in the model's words.
//
// It owns what becomes of each field, which values are refused and why, and the
// order of precedence among matches. It is a pure function of one route: where
// references to Services lead, a function of the caller's says. It must not know
// what a route attaches to, nor whether the mesh or gateways will serve it.
package rules

import (
	"slices"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/hostname"
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/source"
)

// Rank orders the kinds of routes by how specific they are: on one service port
// only routes of the most specific kind apply (GEP-1294).
type Rank int

// The kinds of routes, the least specific first.
const (
	UDP Rank = iota
	TCP
	TLS
	HTTP
	GRPC
)

// Route is a route of any kind as it stands alone.
type Route struct {
	object.Seniority
	Ref        model.ObjectRef
	Object     *source.Object
	Rank       Rank
	ParentRefs []gatewayv1.ParentReference
	Hostnames  []string      // in lower case
	Uses       []object.Name // the services that its rules send or mirror to

	compile func(*compiler)
}

// Read reads a route of any kind; nil for other objects.
func Read(ref model.ObjectRef, obj *source.Object) *Route {
	rt := &Route{Ref: ref, Object: obj}
	switch o := obj.KubeObject.(type) {
	case *gatewayv1.HTTPRoute:
		rt.readHTTP(o)
	case *gatewayv1.GRPCRoute:
		rt.readGRPC(o)
	case *gatewayv1.TLSRoute:
		rt.readTLS(o)
	case *gatewayv1.TCPRoute:
		rt.readTCP(o)
	case *gatewayv1.UDPRoute:
		rt.readUDP(o)
	default:
		return nil
	}
	rt.Seniority = object.SeniorityOf(obj)
	return rt
}

// named keeps the route's host names.
func (rt *Route) named(hostnames []gatewayv1.Hostname) {
	for _, h := range hostnames {
		rt.Hostnames = append(rt.Hostnames, hostname.Domain(string(h)))
	}
}

// use notes that the route refers to a service.
func (rt *Route) use(ref gatewayv1.BackendObjectReference) {
	if !IsService(ref) {
		return
	}
	if n := rt.Target(ref); !slices.Contains(rt.Uses, n) {
		rt.Uses = append(rt.Uses, n)
	}
}

// Target names the object that a reference of the route leads to.
func (rt *Route) Target(ref gatewayv1.BackendObjectReference) object.Name {
	return object.Referred(rt.Ref.Namespace, ref.Namespace, ref.Name)
}

// IsService reports whether a reference is to a Service.
func IsService(ref gatewayv1.BackendObjectReference) bool {
	return ptr.Deref(ref.Group, "") == "" && ptr.Deref(ref.Kind, object.KindService) == object.KindService
}

// Protocol is the protocol of the ports that the route can be for.
func (rt *Route) Protocol() model.Protocol {
	if rt.Rank == UDP {
		return model.UDP
	}
	return model.TCP
}

// HTTP reports whether the route is about requests.
func (rt *Route) HTTP() bool { return rt.Rank >= HTTP }

// Article names the route's kind with its article.
func (rt *Route) Article() string { return WithArticle(rt.Ref.Kind) }

// WithArticle names a kind of route with its article.
func WithArticle(kind string) string {
	if kind == object.KindHTTPRoute {
		return "an " + kind
	}
	return "a " + kind
}
