package resolve

import (
	"fmt"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
)

// follow returns how references of a route are followed. Across namespaces
// gateways need a ReferenceGrant. The mesh needs none: its routes expose nothing
// that clients could not dial themselves (GEP-1294).
func (r *Resolver) follow(rt *route, gateway bool) lookup {
	return func(ref gatewayv1.BackendObjectReference) (model.BackendKey, *finding) {
		n := rt.target(ref)
		k := portKey{uint16(deref(ref.Port, 0)), rt.protocol()}
		if f := r.mayRefer(rt, ref, n, gateway); f != nil {
			return k.backend(n), f
		}
		return k.backend(n), r.leadsNowhere(rt, ref, n, k, gateway)
	}
}

// mayRefer says why a route may not refer to an object, whatever it is.
func (r *Resolver) mayRefer(rt *route, ref gatewayv1.BackendObjectReference, n name, gateway bool) *finding {
	switch {
	case !isService(ref):
		return because(reasonInvalidKind, "%s is not supported: only Services are", describeKind(ref))
	case gateway && !r.granted(rt.ref, kindService, n):
		return because(reasonRefNotPermitted,
			"no ReferenceGrant in namespace %s lets %s of namespace %s refer to Service %s", n.namespace, rt.article(), rt.ref.Namespace, n)
	}
	return nil
}

// leadsNowhere says why a route cannot send to a port of a service.
func (r *Resolver) leadsNowhere(rt *route, ref gatewayv1.BackendObjectReference, n name, k portKey, gateway bool) *finding {
	s := r.services[n]
	switch {
	case s == nil:
		return because(reasonBackendNotFound, "Service %s does not exist", n)
	case s.kind == externalService:
		return because(reasonInvalidKind, "Service %s is of type ExternalName, which is not supported", n)
	case ref.Port == nil:
		return because(reasonBackendNotFound, "no port is given for Service %s", n)
	}
	if sp := s.port(k); sp != nil {
		if why := speaks(rt, sp.app); why != "" && !(gateway && sp.encrypted) {
			return because(reasonUnsupportedProtocol, "port %d of Service %s %s", k.port, n, why)
		}
		return nil
	}
	for _, sp := range s.ports {
		if sp.port == k.port {
			return because(reasonUnsupportedProtocol,
				"port %d of Service %s speaks %s, %s needs %s", k.port, n, sp.protocol, rt.article(), k.protocol)
		}
	}
	return because(reasonBackendNotFound, "Service %s has no port %d", n, k.port)
}

// speaks says why a route cannot send to a port of the application protocol;
// the empty string means that it can.
func speaks(rt *route, app model.AppProtocol) string {
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
