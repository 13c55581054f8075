package resolve

import (
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/gateway"
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/resolve/reference"
	"sluice.io/sluice/source"
)

func (u *round) ingestGateway(n object.Name, obj *source.Object) {
	old := u.gateways[n]
	o, ok := object.As[*gatewayv1.Gateway](obj)
	if ok && old != nil && old.Unchanged(o, obj) {
		return
	}
	u.gatewaysTouched.Add(n)
	if old != nil {
		u.classMembers.Remove(string(old.Spec.GatewayClassName), n)
		delete(u.gateways, n)
	}
	if !ok {
		return
	}
	u.gateways[n] = gateway.NewGateway(n, o, obj)
	u.classMembers.Add(string(o.Spec.GatewayClassName), n)
}

// updateGateways makes the frames of the marked gateways, and marks the routes
// and hosts that stand in them.
func (u *round) updateGateways() {
	for n := range u.gatewaysTouched {
		before := u.frames[n]
		after := u.makeFrame(n)
		u.portsTouched.Add(n)
		u.claimsTouched.Add(n)
		u.report.Add(n.Ref(object.KindGateway))
		if before == nil && after == nil {
			continue
		}
		if after == nil {
			delete(u.frames, n)
		} else {
			u.frames[n] = after
		}
		u.pools.Ask(before.Asked(), after.Asked())
		u.replaceParents(before, after)
		u.touchHosts(before, after)
	}
}

// replaceParents enters the parents and listeners of a frame into the indexes,
// and marks the routes for which they changed.
func (u *round) replaceParents(before, after *gateway.Frame) {
	old := before.ByParent()
	for ref, p := range after.ByParent() {
		u.report.Add(ref)
		u.parentAt[ref] = p
		if was := old[ref]; was == nil || !was.Same(p) {
			u.attachGuests(ref)
		}
		if was := old[ref]; was != nil {
			u.forgetListeners(was)
		}
		for _, l := range p.Listeners {
			u.listenerAt[l.ListenerKey] = l
		}
		delete(old, ref)
	}
	for ref, was := range old {
		u.report.Add(ref)
		u.forgetListeners(was)
		if u.parentAt[ref] == was { // not yet another gateway's
			delete(u.parentAt, ref)
		}
		u.attachGuests(ref)
	}
}

func (u *round) forgetListeners(p *gateway.Parent) {
	for _, l := range p.Listeners {
		if u.listenerAt[l.ListenerKey] == l {
			delete(u.listenerAt, l.ListenerKey)
		}
	}
}

func (u *round) attachGuests(parent model.ObjectRef) {
	for rt := range u.guestsOf[parent] {
		u.attach.Add(rt)
	}
}

// makeFrame reads a gateway; nil when it is not ours.
func (u *round) makeFrame(n object.Name) *gateway.Frame {
	ref := n.Ref(object.KindGateway)
	u.grants.Release(ref)
	u.credentials.Release(ref)
	g := u.gateways[n]
	if g == nil {
		return nil
	}
	class := u.classes[string(g.Spec.GatewayClassName)]
	if class == nil {
		return nil
	}
	return gateway.Read(g, gateway.Surroundings{
		Class: u.refused(class), Sets: u.setsOfGateway(n), Labels: u.labelsOf,
		Credential: func(from, to model.ObjectRef, bundle bool, invalid string) *finding.Finding {
			return u.certify(ref, from, reference.Key{Ref: to, Bundle: bundle}, invalid)
		},
	})
}
