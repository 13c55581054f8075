package resolve

import (
	"fmt"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
)

// weighted resolves a backendRef of the route's rule.
func (c *compiler) weighted(ref gatewayv1.BackendRef) model.WeightedBackend {
	b := model.WeightedBackend{Weight: uint32(max(0, deref(ref.Weight, 1)))}
	b.Backend, b.Invalid = c.lookup("backendRef", ref.BackendObjectReference)
	return b
}

// lookup resolves a reference to a port of a service. When that fails it notes
// why, and returns the reason. Across namespaces gateways need a ReferenceGrant.
// The mesh needs none: its routes expose nothing that clients could not dial
// themselves (GEP-1294).
func (c *compiler) lookup(what string, ref gatewayv1.BackendObjectReference) (model.BackendKey, string) {
	n := c.route.target(ref)
	k := portKey{uint16(deref(ref.Port, 0)), c.route.protocol()}
	fail := func(reason, format string, args ...any) (model.BackendKey, string) {
		c.unresolved(reason, "%s", what+": "+fmt.Sprintf(format, args...))
		return k.backend(n), reason
	}
	if !isService(ref) {
		return fail(reasonInvalidKind, "%s is not supported: only Services are", describeKind(ref))
	}
	if c.gateway && !c.granted(c.route.ref, kindService, n) {
		return fail(reasonRefNotPermitted, "no ReferenceGrant in namespace %s lets %s of namespace %s refer to Service %s", n.namespace, c.route.article(), c.route.ref.Namespace, n)
	}
	s := c.services[n]
	switch {
	case s == nil:
		return fail(reasonBackendNotFound, "Service %s does not exist", n)
	case s.kind == externalService:
		return fail(reasonInvalidKind, "Service %s is of type ExternalName, which is not supported", n)
	case ref.Port == nil:
		return fail(reasonBackendNotFound, "no port is given for Service %s", n)
	}
	if sp := s.port(k); sp != nil {
		if why := c.route.speaks(sp.app); why != "" && !(c.gateway && sp.encrypted) {
			return fail(reasonUnsupportedProtocol, "port %d of Service %s %s", k.port, n, why)
		}
		return k.backend(n), ""
	}
	for _, sp := range s.ports {
		if sp.port == k.port {
			return fail(reasonUnsupportedProtocol, "port %d of Service %s speaks %s, %s needs %s", k.port, n, sp.protocol, c.route.article(), k.protocol)
		}
	}
	return fail(reasonBackendNotFound, "Service %s has no port %d", n, k.port)
}

// speaks says why a route cannot send to a port of the application protocol;
// the empty string means that it can.
func (rt *route) speaks(app model.AppProtocol) string {
	switch {
	case rt.http() && app == model.AppOpaque:
		return "declares an appProtocol that is not plain HTTP"
	case rt.rank == rankGRPC && (app == model.AppHTTP || app == model.AppWS):
		return fmt.Sprintf("declares appProtocol %q: gRPC needs HTTP/2 (kubernetes.io/h2c or grpc)", app)
	}
	return ""
}

func describeKind(ref gatewayv1.BackendObjectReference) string {
	kind := string(deref(ref.Kind, kindService))
	if g := deref(ref.Group, ""); g != "" {
		kind += "." + string(g)
	}
	return fmt.Sprintf("%s %s", kind, ref.Name)
}
