package resolve

import (
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/resolve/gateway"
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/source"
)

func (u *round) ingestListenerSet(n object.Name, obj *source.Object) {
	if old := u.listenerSets[n]; old != nil {
		if object.SameSpec(old.Object, obj) {
			return
		}
		u.setsOf.Remove(old.Gateway, n)
		u.setsIn.Remove(n.Namespace, n)
		u.gatewaysTouched.Add(old.Gateway)
		delete(u.listenerSets, n)
	}
	u.report.Add(n.Ref(object.KindListenerSet))
	o, ok := object.As[*gatewayv1.ListenerSet](obj)
	if !ok {
		return
	}
	s := gateway.NewListenerSet(n, o, obj)
	if s == nil {
		return
	}
	u.listenerSets[n] = s
	u.setsOf.Add(s.Gateway, n)
	u.setsIn.Add(n.Namespace, n)
	u.gatewaysTouched.Add(s.Gateway)
}

// setsOfGateway returns the ListenerSets that name a gateway, the oldest first.
func (r *Resolver) setsOfGateway(gw object.Name) []*gateway.ListenerSet {
	sets := make([]*gateway.ListenerSet, 0, len(r.setsOf[gw]))
	for n := range r.setsOf[gw] {
		sets = append(sets, r.listenerSets[n])
	}
	slices.SortFunc(sets, func(a, b *gateway.ListenerSet) int { return a.Compare(b.Seniority) })
	return sets
}
