package resolve

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/backend"
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/resolve/rules"
	"sluice.io/sluice/resolve/workload"
	"sluice.io/sluice/source"
)

// ingest stores the new state of one object and marks what that touches.
func (u *round) ingest(ref model.ObjectRef, obj *source.Object) {
	switch ref.Kind {
	case object.KindService:
		u.ingestService(object.NameOf(ref), obj)
	case object.KindEndpointSlice:
		u.ingestSlice(object.NameOf(ref), obj)
	case object.KindWorkload:
		u.ingestWorkload(object.NameOf(ref), obj)
	case object.KindHTTPRoute, object.KindGRPCRoute, object.KindTLSRoute, object.KindTCPRoute, object.KindUDPRoute:
		u.ingestRoute(ref, obj)
	case object.KindGatewayClass:
		u.ingestClass(ref.Name, obj)
	case object.KindGateway:
		u.ingestGateway(object.NameOf(ref), obj)
	case object.KindListenerSet:
		u.ingestListenerSet(object.NameOf(ref), obj)
	case object.KindReferenceGrant:
		u.ingestGrant(object.NameOf(ref), obj)
	case object.KindBackendTLSPolicy:
		u.ingestPolicy(object.NameOf(ref), obj)
	case object.KindSecret, object.KindConfigMap:
		u.credentials.Put(ref, obj)
	case object.KindNamespace:
		u.ingestNamespace(ref.Name, obj)
	case object.KindAddressPool:
		o, _ := object.As[*v1alpha1.AddressPool](obj)
		u.pools.Put(ref.Name, o, obj)
	case object.KindParameters:
		u.ingestParameters(ref.Name, obj)
	case object.KindDefinition:
		u.ingestDefinition(ref.Name, obj)
	}
}

func (u *round) ingestService(n object.Name, obj *source.Object) {
	u.touch(n)
	u.report.Add(n.Ref(object.KindService))
	if old := u.services[n]; old != nil {
		u.vips.Claim(old.Seniority, nil)
		u.balance(old, false)
		delete(u.services, n)
	}
	svc, ok := object.As[*corev1.Service](obj)
	if !ok {
		return
	}
	s := &service{Service: backend.ReadService(svc, obj)}
	u.services[n] = s
	u.vips.Claim(s.Seniority, s.Addresses)
	u.balance(s, true)
}

// balance enters a Service that stands before a Gateway, or takes it out.
func (u *round) balance(s *service, in bool) {
	switch {
	case s.Gateway == object.Name{}:
		return
	case in:
		u.balancers.Add(s.Gateway, s.Name)
	default:
		u.balancers.Remove(s.Gateway, s.Name)
	}
	u.portsTouched.Add(s.Gateway)
	u.claimsTouched.Add(s.Gateway)
	u.report.Add(s.Gateway.Ref(object.KindGateway))
	for n := range u.setsOf[s.Gateway] {
		u.report.Add(n.Ref(object.KindListenerSet))
	}
}

func (u *round) ingestSlice(n object.Name, obj *source.Object) {
	u.report.Add(n.Ref(object.KindEndpointSlice))
	if old := u.slices[n]; old != nil {
		u.slicesOf.Remove(old.Service, n)
		u.endpoints.Add(old.Service)
		delete(u.slices, n)
	}
	es, ok := object.As[*discoveryv1.EndpointSlice](obj)
	if !ok {
		return
	}
	s := backend.ReadSlice(es, obj)
	u.slices[n] = s
	u.slicesOf.Add(s.Service, n)
	u.endpoints.Add(s.Service)
}

func (u *round) ingestWorkload(n object.Name, obj *source.Object) {
	u.report.Add(n.Ref(object.KindWorkload))
	u.places.Claim(object.Seniority{Name: n}, nil)
	delete(u.workloads, n)
	wl, ok := object.As[*v1alpha1.Workload](obj)
	if !ok {
		u.emitWorkload(n, nil)
		return
	}
	w := workload.Read(wl, obj)
	u.workloads[n] = w
	if w.Place == "" {
		u.emitWorkload(n, nil)
		return
	}
	u.places.Claim(w.Seniority, []string{w.Place})
}

func (u *round) ingestRoute(ref model.ObjectRef, obj *source.Object) {
	if old := u.routes[ref]; old != nil {
		if object.SameSpec(old.Object, obj) {
			return
		}
		u.unbind(old)
		delete(u.routes, ref)
	}
	u.report.Add(ref)
	if obj == nil {
		return
	}
	said := rules.Read(ref, obj)
	if said == nil {
		return
	}
	rt := newRoute(said)
	u.routes[ref] = rt
	u.bind(rt)
}

// bind enters a route into the indexes and marks it.
func (u *round) bind(rt *route) {
	for _, p := range rt.parents {
		u.boundTo.Add(p.group, rt)
		u.scopesOf.Add(p.group.service, p.group.scope)
	}
	for _, n := range rt.Uses {
		u.usersOf.Add(n, rt)
	}
	for _, g := range rt.gates {
		u.guestsOf.Add(g.parent, rt)
		u.guestsFrom.Add(rt.Ref.Namespace, rt)
	}
	u.compile.Add(rt)
}

// unbind takes a route out of the indexes and marks the frontends that it shaped.
func (u *round) unbind(rt *route) {
	for _, p := range rt.parents {
		u.boundTo.Remove(p.group, rt)
		if len(u.boundTo[p.group]) == 0 {
			u.scopesOf.Remove(p.group.service, p.group.scope)
		}
		u.groups.Add(p.group)
	}
	for _, n := range rt.Uses {
		u.usersOf.Remove(n, rt)
	}
	u.grants.Release(rt.Ref)
	for _, g := range rt.gates {
		u.guestsOf.Remove(g.parent, rt)
		u.guestsFrom.Remove(rt.Ref.Namespace, rt)
	}
	u.moveGuest(rt, nil)
	delete(u.compile, rt)
	delete(u.attach, rt)
}
