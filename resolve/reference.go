package resolve

import (
	"fmt"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/backend"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/resolve/reference"
	"sluice.io/sluice/resolve/rules"
	"sluice.io/sluice/source"
)

// follow returns how references of a route are followed. Across namespaces
// gateways need a ReferenceGrant. The mesh needs none: its routes expose nothing
// that clients could not dial themselves (GEP-1294).
func (r *Resolver) follow(rt *route, gateway bool) rules.Lookup {
	return func(ref gatewayv1.BackendObjectReference) (model.BackendKey, *finding.Finding) {
		n := rt.Target(ref)
		k := backend.PortKey{Port: uint16(ptr.Deref(ref.Port, 0)), Protocol: rt.Protocol()}
		if f := r.mayRefer(rt, ref, n, gateway); f != nil {
			return k.Backend(n), f
		}
		return k.Backend(n), r.leadsNowhere(rt, ref, n, k, gateway)
	}
}

// mayRefer says why a route may not refer to an object, whatever it is.
func (r *Resolver) mayRefer(rt *route, ref gatewayv1.BackendObjectReference, n object.Name, gateway bool) *finding.Finding {
	switch {
	case !rules.IsService(ref):
		return finding.New(finding.InvalidKind, "%s is not supported: only Services are", describeKind(ref))
	case gateway && !r.grants.Permit(rt.Ref, rt.Ref, object.KindService, n):
		return finding.New(finding.RefNotPermitted,
			"no ReferenceGrant in namespace %s lets %s of namespace %s refer to Service %s", n.Namespace, rt.Article(), rt.Ref.Namespace, n)
	}
	return nil
}

// leadsNowhere says why a route cannot send to a port of a service.
func (r *Resolver) leadsNowhere(rt *route, ref gatewayv1.BackendObjectReference, n object.Name, k backend.PortKey, gateway bool) *finding.Finding {
	s := r.services[n]
	switch {
	case s == nil:
		return finding.New(finding.BackendNotFound, "Service %s does not exist", n)
	case s.Kind == backend.External:
		return finding.New(finding.InvalidKind, "Service %s is of type ExternalName, which is not supported", n)
	case ref.Port == nil:
		return finding.New(finding.BackendNotFound, "no port is given for Service %s", n)
	}
	if sp := s.Port(k); sp != nil {
		if why := speaks(rt, sp.App); why != "" && !(gateway && s.encrypted.Has(k)) {
			return finding.New(finding.UnsupportedProtocol, "port %d of Service %s %s", k.Port, n, why)
		}
		return nil
	}
	for _, sp := range s.Ports {
		if sp.Port == k.Port {
			return finding.New(finding.UnsupportedProtocol,
				"port %d of Service %s speaks %s, %s needs %s", k.Port, n, sp.Protocol, rt.Article(), k.Protocol)
		}
	}
	return finding.New(finding.BackendNotFound, "Service %s has no port %d", n, k.Port)
}

// speaks says why a route cannot send to a port of the application protocol;
// the empty string means that it can.
func speaks(rt *route, app model.AppProtocol) string {
	switch {
	case rt.HTTP() && app == model.AppOpaque:
		return "declares an appProtocol that is not plain HTTP"
	case rt.Rank == rules.GRPC && (app == model.AppHTTP || app == model.AppWS):
		return fmt.Sprintf("declares appProtocol %q: gRPC needs HTTP/2 (kubernetes.io/h2c or grpc)", app)
	}
	return ""
}

func describeKind(ref gatewayv1.BackendObjectReference) string {
	kind, group := ptr.Deref(ref.Kind, object.KindService), ptr.Deref(ref.Group, "")
	return fmt.Sprintf("%s %s", object.GroupKind(string(kind), string(group)), ref.Name)
}

// ingestGrant marks those who refer in the directions of the grant.
func (u *round) ingestGrant(n object.Name, obj *source.Object) {
	o, _ := object.As[*gatewayv1.ReferenceGrant](obj)
	for user := range u.grants.Put(n, o) {
		u.revisit(user)
	}
}

// rereadCredentials marks those who refer to something that became usable, or
// stopped being so.
func (u *round) rereadCredentials() {
	for user := range u.credentials.Reread() {
		u.revisit(user)
	}
}

// revisit marks an object to be read anew, as its references may lead elsewhere.
func (u *round) revisit(user model.ObjectRef) {
	switch user.Kind {
	case object.KindGateway:
		u.gatewaysTouched.Add(object.NameOf(user))
	case object.KindBackendTLSPolicy:
		u.policiesTouched.Add(object.NameOf(user))
	default:
		u.compile.Add(u.routes[user])
	}
}

// certify follows a reference to a credential, from a gateway or a ListenerSet of it.
func (r *Resolver) certify(gw, from model.ObjectRef, k reference.Key, invalid string) *finding.Finding {
	to := object.NameOf(k.Ref)
	if !r.grants.Permit(gw, from, k.Ref.Kind, to) {
		return finding.New(finding.RefNotPermitted,
			"no ReferenceGrant in namespace %s lets a %s of namespace %s refer to %s", to.Namespace, from.Kind, from.Namespace, k.Ref)
	}
	return r.credentials.Use(gw, k, invalid)
}
