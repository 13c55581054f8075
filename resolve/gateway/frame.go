package gateway

import (
	"net/netip"
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
)

// Frame is what a gateway's own fields and its ListenerSets' come to, without
// routes.
type Frame struct {
	Gateway  *Gateway
	Origin   model.Origin
	Parents  []*Parent // the Gateway first, then its ListenerSets in order of precedence
	Ports    map[model.PortKey]*Port
	Reach    Reach
	Refused  *finding.Finding // the Gateway is not accepted
	Insecure bool             // clients are let in whose certificates are not valid
	// Identity is the certificate shown to backends, and Unresolved what is wrong
	// with it.
	Identity   model.ObjectRef
	Unresolved *finding.Finding

	Listeners []*Listener // of all parents
	Attached  int32       // the ListenerSets that are accepted
}

// Key names the gateway in the model.
func (f *Frame) Key() model.GatewayKey {
	return model.GatewayKey{Namespace: f.Gateway.Name.Namespace, Name: f.Gateway.Name.Name}
}

// Asked returns the addresses of a gateway without a controller; none for nil.
func (f *Frame) Asked() []netip.Addr {
	if f == nil || !f.Gateway.Standalone() {
		return nil
	}
	return f.Reach.Addresses
}

// Parent is a Gateway or ListenerSet that routes may name as their parent.
type Parent struct {
	Ref       model.ObjectRef
	Origin    model.Origin
	Listeners []*Listener
	Refused   *finding.Finding // a ListenerSet that its Gateway does not let in
}

// Surroundings are what the reading of a gateway asks of other objects.
type Surroundings struct {
	Class      *finding.Finding // what is wrong with its class
	Sets       []*ListenerSet   // those that name it, the oldest first
	Labels     Labels
	Credential Lookup
}

// Read reads a gateway. Its listeners, and those of its ListenerSets, are checked
// one by one, then against each other, and then against what they refer to.
func Read(g *Gateway, around Surroundings) *Frame {
	f := &Frame{Gateway: g, Origin: g.Object.Origin, Ports: map[model.PortKey]*Port{}}
	f.Parents = []*Parent{{Ref: g.Ref, Origin: g.Object.Origin, Listeners: g.listeners()}}
	f.Parents = append(f.Parents, g.letIn(around.Sets, around.Labels)...)
	units := make([][]*Listener, len(f.Parents))
	for i, p := range f.Parents {
		units[i] = p.Listeners
		f.Listeners = append(f.Listeners, p.Listeners...)
	}
	settleConflicts(units)
	f.resolveTLS(around.Credential)
	f.readReach()
	f.judge(around.Class)
	if f.Refused == nil {
		f.openPorts()
	}
	for _, p := range f.Parents[1:] {
		if p.ShutOut(f) == nil {
			f.Attached++
		}
	}
	return f
}

// ShutOut says why a ListenerSet has no place in its Gateway; nil when it has.
func (p *Parent) ShutOut(f *Frame) *finding.Finding {
	switch {
	case p.Refused != nil:
		return p.Refused
	case f.Refused != nil && f.Refused.Reason != finding.ListenersNotValid:
		return finding.New(string(gatewayv1.ListenerSetReasonParentNotAccepted), "%s is not accepted: %s", f.Gateway.Ref, f.Refused.Message)
	case !slices.ContainsFunc(p.Listeners, (*Listener).sound):
		return finding.New(finding.ListenersNotValid, "no listener is valid and has what it needs: see their conditions")
	}
	return nil
}

// judge decides whether the Gateway as a whole is accepted, given what is wrong with
// its class.
func (f *Frame) judge(class *finding.Finding) {
	spec := f.Gateway.Spec
	switch {
	case class != nil:
		f.Refused = finding.New(finding.InvalidParameters, "GatewayClass %s is not accepted: %s", spec.GatewayClassName, class.Message)
	case spec.Infrastructure != nil && spec.Infrastructure.ParametersRef != nil:
		p := spec.Infrastructure.ParametersRef
		f.Refused = finding.New(finding.InvalidParameters,
			"infrastructure.parametersRef names %s.%s %s: a Gateway has the parameters of its class", p.Kind, p.Group, p.Name)
	case f.Reach.unsupported != nil:
		f.Refused = f.Reach.unsupported
	case !slices.ContainsFunc(f.Listeners, func(l *Listener) bool { return l.Refused == nil }):
		f.Refused = finding.New(finding.ListenersNotValid, "none of the listeners is valid: see their conditions")
	}
}

// openPorts sorts the listeners that can serve by their ports.
func (f *Frame) openPorts() {
	for _, l := range f.Listeners {
		if !l.sound() {
			continue
		}
		k := l.PortKey()
		p := f.Ports[k]
		if p == nil {
			p = &Port{Key: k, byDomain: map[string]*Listener{}, ByChain: map[string]*Listener{}}
			f.Ports[k] = p
		}
		p.Listeners = append(p.Listeners, l)
		p.byDomain[l.Domain] = l
		p.ByChain[l.Chain()] = l
	}
}

// ByParent returns the parents by what routes name them; none for nil.
func (f *Frame) ByParent() map[model.ObjectRef]*Parent {
	out := map[model.ObjectRef]*Parent{}
	if f != nil {
		for _, p := range f.Parents {
			out[p.Ref] = p
		}
	}
	return out
}

// Same reports whether routes attach to two states of a parent alike.
func (p *Parent) Same(o *Parent) bool {
	return (p.Refused == nil) == (o.Refused == nil) &&
		slices.EqualFunc(p.Listeners, o.Listeners, func(x, y *Listener) bool { return x.Name == y.Name && x.same(y) })
}
