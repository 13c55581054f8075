package resolve

import (
	"slices"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/source"
)

// listenerSet is a ListenerSet as it was given.
type listenerSet struct {
	object.Seniority
	gateway object.Name // its parent
	spec    *gatewayv1.ListenerSetSpec
	obj     *source.Object
}

func (u *round) ingestListenerSet(n object.Name, obj *source.Object) {
	if old := u.listenerSets[n]; old != nil {
		if object.SameSpec(old.obj, obj) {
			return
		}
		u.setsOf.Remove(old.gateway, n)
		u.setsIn.Remove(n.Namespace, n)
		u.gatewaysTouched.Add(old.gateway)
		delete(u.listenerSets, n)
	}
	u.report.Add(n.Ref(object.KindListenerSet))
	o, ok := object.As[*gatewayv1.ListenerSet](obj)
	if !ok {
		return
	}
	p := o.Spec.ParentRef
	if ptr.Deref(p.Group, gatewayv1.GroupName) != gatewayv1.GroupName || ptr.Deref(p.Kind, object.KindGateway) != object.KindGateway {
		return
	}
	s := &listenerSet{Seniority: object.SeniorityOf(o), spec: &o.Spec, obj: obj}
	s.Name = n
	s.gateway = object.Referred(n.Namespace, p.Namespace, p.Name)
	u.listenerSets[n] = s
	u.setsOf.Add(s.gateway, n)
	u.setsIn.Add(n.Namespace, n)
	u.gatewaysTouched.Add(s.gateway)
}

// setsOfGateway reads the ListenerSets that name a gateway, the oldest first.
func (r *Resolver) setsOfGateway(g *gateway) []*parentFrame {
	sets := make([]*listenerSet, 0, len(r.setsOf[g.Name]))
	for n := range r.setsOf[g.Name] {
		sets = append(sets, r.listenerSets[n])
	}
	if len(sets) == 0 {
		return nil
	}
	slices.SortFunc(sets, func(a, b *listenerSet) int { return a.Compare(b.Seniority) })
	var in gatewayv1.ListenerNamespaces
	if a := g.spec.AllowedListeners; a != nil {
		in = ptr.Deref(a.Namespaces, in)
	}
	door, wrong := newDoorway(in.From, gatewayv1.NamespacesFromNone, in.Selector)
	out := make([]*parentFrame, len(sets))
	for i, s := range sets {
		out[i] = &parentFrame{ref: s.Name.Ref(object.KindListenerSet), origin: s.obj.Origin}
		switch {
		case wrong != nil:
			out[i].refused = finding.New(finding.NotAllowed, "%s lets nobody in: %s", g.ref, wrong.Message)
		case !r.admits(door, g.Name.Namespace, s.Name.Namespace):
			out[i].refused = finding.New(finding.NotAllowed,
				"%s does not let ListenerSets of namespace %s in: see its allowedListeners", g.ref, s.Name.Namespace)
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
