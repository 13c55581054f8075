package resolve

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// The kinds that resolve reads.
const (
	kindService       = "Service"
	kindEndpointSlice = "EndpointSlice"
	kindWorkload      = "Workload"
	kindHTTPRoute     = "HTTPRoute"
	kindGRPCRoute     = "GRPCRoute"
	kindTCPRoute      = "TCPRoute"
	kindUDPRoute      = "UDPRoute"
	kindTLSRoute      = "TLSRoute"

	kindGatewayClass     = "GatewayClass"
	kindGateway          = "Gateway"
	kindListenerSet      = "ListenerSet"
	kindReferenceGrant   = "ReferenceGrant"
	kindBackendTLSPolicy = "BackendTLSPolicy"
	kindSecret           = "Secret"
	kindConfigMap        = "ConfigMap"
	kindNamespace        = "Namespace"
	kindAddressPool      = "AddressPool"
	kindParameters       = "GatewayParameters"
)

// ingest stores the new state of one object and marks what that touches.
func (u *round) ingest(ref model.ObjectRef, obj *source.Object) {
	switch ref.Kind {
	case kindService:
		u.ingestService(nameOf(ref), obj)
	case kindEndpointSlice:
		u.ingestSlice(nameOf(ref), obj)
	case kindWorkload:
		u.ingestWorkload(nameOf(ref), obj)
	case kindHTTPRoute, kindGRPCRoute, kindTLSRoute, kindTCPRoute, kindUDPRoute:
		u.ingestRoute(ref, obj)
	case kindGatewayClass:
		u.ingestClass(ref.Name, obj)
	case kindGateway:
		u.ingestGateway(nameOf(ref), obj)
	case kindListenerSet:
		u.ingestListenerSet(nameOf(ref), obj)
	case kindReferenceGrant:
		u.ingestGrant(nameOf(ref), obj)
	case kindBackendTLSPolicy:
		u.ingestPolicy(nameOf(ref), obj)
	case kindSecret, kindConfigMap:
		u.ingestStore(ref, obj)
	case kindNamespace:
		u.ingestNamespace(ref.Name, obj)
	case kindAddressPool:
		u.ingestPool(ref.Name, obj)
	case kindParameters:
		u.ingestParameters(ref.Name, obj)
	}
}

func (u *round) ingestService(n name, obj *source.Object) {
	u.touch(n)
	u.report.add(n.ref(kindService))
	if old := u.services[n]; old != nil {
		for _, a := range old.wanted {
			u.claimants.remove(a, n)
			u.addresses.add(a)
		}
		u.balance(old, false)
		delete(u.services, n)
	}
	svc, ok := typed[*corev1.Service](obj)
	if !ok {
		return
	}
	s := parseService(svc, obj)
	u.services[n] = s
	for _, a := range s.wanted {
		u.claimants.add(a, n)
		u.addresses.add(a)
	}
	u.balance(s, true)
}

// balance enters a Service that stands before a Gateway, or takes it out.
func (u *round) balance(s *service, in bool) {
	switch {
	case s.gateway == name{}:
		return
	case in:
		u.balancers.add(s.gateway, s.name)
	default:
		u.balancers.remove(s.gateway, s.name)
	}
	u.portsTouched.add(s.gateway)
	u.claimsTouched.add(s.gateway)
	u.report.add(s.gateway.ref(kindGateway))
	for n := range u.setsOf[s.gateway] {
		u.report.add(n.ref(kindListenerSet))
	}
}

func (u *round) ingestSlice(n name, obj *source.Object) {
	u.report.add(n.ref(kindEndpointSlice))
	if old := u.slices[n]; old != nil {
		u.slicesOf.remove(old.service, n)
		u.endpoints.add(old.service)
		delete(u.slices, n)
	}
	es, ok := typed[*discoveryv1.EndpointSlice](obj)
	if !ok {
		return
	}
	s := parseSlice(es, obj)
	u.slices[n] = s
	u.slicesOf.add(s.service, n)
	u.endpoints.add(s.service)
}

func (u *round) ingestWorkload(n name, obj *source.Object) {
	if old := u.workloads[n]; old != nil {
		u.tenants.remove(old.place, n)
		u.places.add(old.place)
		delete(u.workloads, n)
	}
	u.report.add(n.ref(kindWorkload))
	wl, ok := typed[*v1alpha1.Workload](obj)
	if !ok {
		u.emitWorkload(n, nil)
		return
	}
	w := parseWorkload(wl, obj)
	u.workloads[n] = w
	u.tenants.add(w.place, n)
	u.places.add(w.place)
}

func (u *round) ingestRoute(ref model.ObjectRef, obj *source.Object) {
	if old := u.routes[ref]; old != nil {
		if sameSpec(old.obj, obj) {
			return
		}
		u.unbind(old)
		delete(u.routes, ref)
	}
	u.report.add(ref)
	if obj == nil {
		return
	}
	rules := readRoute(ref, obj)
	if rules == nil {
		return
	}
	rt := newRoute(rules)
	u.routes[ref] = rt
	u.bind(rt)
}

// bind enters a route into the indexes and marks it.
func (u *round) bind(rt *route) {
	for _, p := range rt.parents {
		u.boundTo.add(p.group, rt)
		u.scopesOf.add(p.group.service, p.group.scope)
	}
	for _, n := range rt.uses {
		u.usersOf.add(n, rt)
		if len(rt.gates) > 0 && n.namespace != rt.ref.Namespace {
			u.crossRoutes.add(crossing{rt.ref.Kind, rt.ref.Namespace, n.namespace}, rt)
		}
	}
	for _, g := range rt.gates {
		u.guestsOf.add(g.parent, rt)
		u.guestsFrom.add(rt.ref.Namespace, rt)
	}
	u.compile.add(rt)
}

// unbind takes a route out of the indexes and marks the frontends that it shaped.
func (u *round) unbind(rt *route) {
	for _, p := range rt.parents {
		u.boundTo.remove(p.group, rt)
		if len(u.boundTo[p.group]) == 0 {
			u.scopesOf.remove(p.group.service, p.group.scope)
		}
		u.groups.add(p.group)
	}
	for _, n := range rt.uses {
		u.usersOf.remove(n, rt)
		u.crossRoutes.remove(crossing{rt.ref.Kind, rt.ref.Namespace, n.namespace}, rt)
	}
	for _, g := range rt.gates {
		u.guestsOf.remove(g.parent, rt)
		u.guestsFrom.remove(rt.ref.Namespace, rt)
	}
	u.moveGuest(rt, nil)
	delete(u.compile, rt)
	delete(u.attach, rt)
}

func typed[T any](obj *source.Object) (T, bool) {
	if obj == nil {
		var none T
		return none, false
	}
	o, ok := obj.KubeObject.(T)
	return o, ok
}
