package resolve

import (
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// listenerSet is a ListenerSet as it was given.
type listenerSet struct {
	seniority
	gateway name // its parent
	spec    *gatewayv1.ListenerSetSpec
	obj     *source.Object
}

func (u *round) ingestListenerSet(n name, obj *source.Object) {
	if old := u.listenerSets[n]; old != nil {
		if sameSpec(old.obj, obj) {
			return
		}
		u.setsOf.remove(old.gateway, n)
		u.setsIn.remove(n.namespace, n)
		u.gatewaysTouched.add(old.gateway)
		delete(u.listenerSets, n)
	}
	u.report.add(n.ref(kindListenerSet))
	o, ok := typed[*gatewayv1.ListenerSet](obj)
	if !ok {
		return
	}
	p := o.Spec.ParentRef
	if deref(p.Group, gatewayv1.GroupName) != gatewayv1.GroupName || deref(p.Kind, kindGateway) != kindGateway {
		return
	}
	s := &listenerSet{seniority: seniorityOf(o), spec: &o.Spec, obj: obj}
	s.name = n
	s.gateway = name{string(deref(p.Namespace, gatewayv1.Namespace(n.namespace))), string(p.Name)}
	u.listenerSets[n] = s
	u.setsOf.add(s.gateway, n)
	u.setsIn.add(n.namespace, n)
	u.gatewaysTouched.add(s.gateway)
}

// setsOfGateway reads the ListenerSets that name a gateway, the oldest first.
func (r *Resolver) setsOfGateway(g *gateway) []*parentFrame {
	sets := make([]*listenerSet, 0, len(r.setsOf[g.name]))
	for n := range r.setsOf[g.name] {
		sets = append(sets, r.listenerSets[n])
	}
	if len(sets) == 0 {
		return nil
	}
	slices.SortFunc(sets, func(a, b *listenerSet) int { return a.compare(b.seniority) })
	var in gatewayv1.ListenerNamespaces
	if a := g.spec.AllowedListeners; a != nil {
		in = deref(a.Namespaces, in)
	}
	door, wrong := newDoorway(in.From, gatewayv1.NamespacesFromNone, in.Selector)
	out := make([]*parentFrame, len(sets))
	for i, s := range sets {
		out[i] = &parentFrame{ref: s.name.ref(kindListenerSet), origin: s.obj.Origin}
		switch {
		case wrong != nil:
			out[i].refused = because(reasonNotAllowed, "%s lets nobody in: %s", g.ref, wrong.message)
		case !r.admits(door, g.name.namespace, s.name.namespace):
			out[i].refused = because(reasonNotAllowed,
				"%s does not let ListenerSets of namespace %s in: see its allowedListeners", g.ref, s.name.namespace)
		default:
			out[i].listeners = s.listeners(out[i].ref)
		}
	}
	return out
}

func (s *listenerSet) listeners(ref model.ObjectRef) []*listener {
	ls := make([]*listener, 0, len(s.spec.Listeners))
	for i := range s.spec.Listeners {
		e := &s.spec.Listeners[i]
		in := &gatewayv1.Listener{Name: e.Name, Hostname: e.Hostname, Port: e.Port, Protocol: e.Protocol, TLS: e.TLS, AllowedRoutes: e.AllowedRoutes}
		ls = appendListener(ls, newListener(listenerKey{ref, string(e.Name)}, s.gateway, in, s.obj.ListenerOrigin(i)))
	}
	return ls
}
