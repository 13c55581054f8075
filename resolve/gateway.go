package resolve

import (
	"net/netip"
	"slices"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/source"
)

// gateway is a Gateway as it was given, whoever's it is.
type gateway struct {
	object.Seniority
	ref  model.ObjectRef
	spec *gatewayv1.GatewaySpec
	obj  *source.Object
	// addresses are those of the status, where a controller writes it.
	addresses []gatewayv1.GatewayStatusAddress
}

// standalone tells that there is no controller that would assign addresses.
func (g *gateway) standalone() bool { return g.obj.Origin.File != "" }

func (u *round) ingestGateway(n object.Name, obj *source.Object) {
	old := u.gateways[n]
	o, ok := object.As[*gatewayv1.Gateway](obj)
	if ok && old != nil && object.SameSpec(old.obj, obj) && slices.EqualFunc(old.addresses, o.Status.Addresses, sameAddress) {
		return
	}
	u.gatewaysTouched.Add(n)
	if old != nil {
		u.classMembers.Remove(string(old.spec.GatewayClassName), n)
		delete(u.gateways, n)
	}
	if !ok {
		return
	}
	g := &gateway{Seniority: object.SeniorityOf(o), ref: n.Ref(object.KindGateway), spec: &o.Spec, obj: obj, addresses: o.Status.Addresses}
	g.Name = n
	u.gateways[n] = g
	u.classMembers.Add(string(o.Spec.GatewayClassName), n)
}

func sameAddress(a, b gatewayv1.GatewayStatusAddress) bool {
	return a.Value == b.Value && ptr.Deref(a.Type, gatewayv1.IPAddressType) == ptr.Deref(b.Type, gatewayv1.IPAddressType)
}

// frame is what a gateway's own fields and its ListenerSets' come to, without
// routes.
type frame struct {
	gateway  *gateway
	origin   model.Origin
	parents  []*parentFrame // the Gateway first, then its ListenerSets in order of precedence
	ports    map[model.PortKey]*portFrame
	reach    reach
	refused  *finding.Finding // the Gateway is not accepted
	identity model.ObjectRef
	// unresolved is what is wrong with the certificate shown to backends.
	unresolved *finding.Finding
	insecure   bool

	listeners []*listener // of all parents
	attached  int32       // the ListenerSets that are accepted
}

// parentFrame is a Gateway or ListenerSet that routes may name as their parent.
type parentFrame struct {
	ref       model.ObjectRef
	origin    model.Origin
	listeners []*listener
	refused   *finding.Finding // a ListenerSet that its Gateway does not let in
}

// portFrame is one port of a gateway with the listeners that are served on it.
type portFrame struct {
	key       model.PortKey
	listeners []*listener
	byDomain  map[string]*listener
	byChain   map[string]*listener
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
		u.ask(before, after)
		u.replaceParents(before, after)
		u.touchHosts(before, after)
	}
}

// replaceParents enters the parents and listeners of a frame into the indexes,
// and marks the routes for which they changed.
func (u *round) replaceParents(before, after *frame) {
	old := before.byParent()
	for ref, p := range after.byParent() {
		u.report.Add(ref)
		u.parentAt[ref] = p
		if was := old[ref]; was == nil || !sameParents(was, p) {
			u.attachGuests(ref)
		}
		if was := old[ref]; was != nil {
			u.forgetListeners(was)
		}
		for _, l := range p.listeners {
			u.listenerAt[l.listenerKey] = l
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

func (u *round) forgetListeners(p *parentFrame) {
	for _, l := range p.listeners {
		if u.listenerAt[l.listenerKey] == l {
			delete(u.listenerAt, l.listenerKey)
		}
	}
}

func (u *round) attachGuests(parent model.ObjectRef) {
	for rt := range u.guestsOf[parent] {
		u.attach.Add(rt)
	}
}

func (f *frame) byParent() map[model.ObjectRef]*parentFrame {
	out := map[model.ObjectRef]*parentFrame{}
	if f != nil {
		for _, p := range f.parents {
			out[p.ref] = p
		}
	}
	return out
}

func sameParents(a, b *parentFrame) bool {
	return (a.refused == nil) == (b.refused == nil) &&
		slices.EqualFunc(a.listeners, b.listeners, func(x, y *listener) bool { return x.name == y.name && x.same(y) })
}

// makeFrame reads a gateway; nil when it is not ours.
func (u *round) makeFrame(n object.Name) *frame {
	u.releaseGateway(n)
	g := u.gateways[n]
	if g == nil {
		return nil
	}
	class := u.classes[string(g.spec.GatewayClassName)]
	if class == nil {
		return nil
	}
	f := &frame{gateway: g, origin: g.obj.Origin, ports: map[model.PortKey]*portFrame{}}
	f.parents = []*parentFrame{{ref: g.ref, origin: g.obj.Origin, listeners: u.listenersOf(g)}}
	f.parents = append(f.parents, u.setsOfGateway(g)...)
	units := make([][]*listener, len(f.parents))
	for i, p := range f.parents {
		units[i] = p.listeners
		f.listeners = append(f.listeners, p.listeners...)
	}
	settleConflicts(units)
	u.resolveTLS(f)
	u.readReach(f)
	f.judge(u.refused(class))
	if f.refused == nil {
		f.openPorts()
	}
	for _, p := range f.parents[1:] {
		if p.accepted(f).Status {
			f.attached++
		}
	}
	return f
}

func (u *round) listenersOf(g *gateway) []*listener {
	ls := make([]*listener, 0, len(g.spec.Listeners))
	for i := range g.spec.Listeners {
		in := &g.spec.Listeners[i]
		ls = appendListener(ls, newListener(listenerKey{g.ref, string(in.Name)}, g.Name, in, g.obj.ListenerOrigin(i)))
	}
	return ls
}

// appendListener adds a listener, unless one of the same name came before.
func appendListener(ls []*listener, l *listener) []*listener {
	if slices.ContainsFunc(ls, func(o *listener) bool { return o.name == l.name }) {
		return ls
	}
	return append(ls, l)
}

// judge decides whether the Gateway as a whole is accepted, given what is wrong with
// its class.
func (f *frame) judge(class *finding.Finding) {
	spec := f.gateway.spec
	switch {
	case class != nil:
		f.refused = finding.New(finding.InvalidParameters, "GatewayClass %s is not accepted: %s", spec.GatewayClassName, class.Message)
	case spec.Infrastructure != nil && spec.Infrastructure.ParametersRef != nil:
		p := spec.Infrastructure.ParametersRef
		f.refused = finding.New(finding.InvalidParameters,
			"infrastructure.parametersRef names %s.%s %s: a Gateway has the parameters of its class", p.Kind, p.Group, p.Name)
	case f.reach.unsupported != nil:
		f.refused = f.reach.unsupported
	case !slices.ContainsFunc(f.listeners, func(l *listener) bool { return l.refused == nil }):
		f.refused = finding.New(finding.ListenersNotValid, "none of the listeners is valid: see their conditions")
	}
}

// openPorts sorts the listeners that can serve by their ports.
func (f *frame) openPorts() {
	for _, l := range f.listeners {
		if !l.sound() {
			continue
		}
		k := l.portKey()
		p := f.ports[k]
		if p == nil {
			p = &portFrame{key: k, byDomain: map[string]*listener{}, byChain: map[string]*listener{}}
			f.ports[k] = p
		}
		p.listeners = append(p.listeners, l)
		p.byDomain[l.domain] = l
		p.byChain[l.chain()] = l
	}
}

// reach is where a gateway is dialled.
type reach struct {
	addresses   []netip.Addr
	known       bool             // it can be dialled
	unsupported *finding.Finding // an address of a kind that there is not
	unusable    *finding.Finding // an address that is not there, or not yet
}
