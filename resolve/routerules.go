package resolve

import (
	"slices"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/hostname"
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/source"
)

// routeRank orders the kinds of routes by how specific they are: on one service
// port only routes of the most specific kind apply (GEP-1294).
type routeRank int

// The kinds of routes, the least specific first.
const (
	rankUDP routeRank = iota
	rankTCP
	rankTLS
	rankHTTP
	rankGRPC
)

// routeRules is a route of any kind as it stands alone.
type routeRules struct {
	object.Seniority
	ref        model.ObjectRef
	obj        *source.Object
	rank       routeRank
	parentRefs []gatewayv1.ParentReference
	hostnames  []string      // in lower case
	uses       []object.Name // the services that its rules send or mirror to
	read       func(*compiler)
}

// readRoute reads a route of any kind; nil for other objects.
func readRoute(ref model.ObjectRef, obj *source.Object) *routeRules {
	rt := &routeRules{ref: ref, obj: obj}
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
func (rt *routeRules) named(hostnames []gatewayv1.Hostname) {
	for _, h := range hostnames {
		rt.hostnames = append(rt.hostnames, hostname.Domain(string(h)))
	}
}

// use notes that the route refers to a service.
func (rt *routeRules) use(ref gatewayv1.BackendObjectReference) {
	if !isService(ref) {
		return
	}
	if n := rt.target(ref); !slices.Contains(rt.uses, n) {
		rt.uses = append(rt.uses, n)
	}
}

// target names the object that a reference of the route leads to.
func (rt *routeRules) target(ref gatewayv1.BackendObjectReference) object.Name {
	return object.Referred(rt.ref.Namespace, ref.Namespace, ref.Name)
}

// isService reports whether a reference is to a Service.
func isService(ref gatewayv1.BackendObjectReference) bool {
	return ptr.Deref(ref.Group, "") == "" && ptr.Deref(ref.Kind, object.KindService) == object.KindService
}

// protocol is what the route's connections speak at least.
func (rt *routeRules) protocol() model.Protocol {
	if rt.rank == rankUDP {
		return model.UDP
	}
	return model.TCP
}

// http reports whether the route is about requests.
func (rt *routeRules) http() bool { return rt.rank >= rankHTTP }

// article names the route's kind with its article.
func (rt *routeRules) article() string { return withArticle(rt.ref.Kind) }

// withArticle names a kind of route with its article.
func withArticle(kind string) string {
	if kind == object.KindHTTPRoute {
		return "an " + kind
	}
	return "a " + kind
}
