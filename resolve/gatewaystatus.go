package resolve

import (
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/object"
)

// gatewayStatus is the status of a Gateway of ours; nil for others. A Gateway
// from a file whose class is not ours is told so, as nobody else is there to.
func (r *Resolver) gatewayStatus(n object.Name) *model.Status {
	f := r.frames[n]
	if f == nil {
		g := r.gateways[n]
		if g == nil || !g.standalone() {
			return nil
		}
		return &model.Status{Origin: g.obj.Origin, Conditions: []model.Condition{finding.New(string(gatewayv1.GatewayReasonPending),
			"there is no GatewayClass %q with controllerName %s", g.spec.GatewayClassName, ControllerName).Condition(conditionAccepted, false)}}
	}
	st := &model.Status{
		Origin: f.origin, Listeners: r.listenerStatuses(f, f.parents[0]), AttachedListenerSets: f.attached,
		Gateway: f.key(), Addresses: f.reach.addresses,
	}
	accepted := f.accepted()
	st.Conditions = []model.Condition{accepted, r.programmed(f, accepted), f.resolvedRefs()}
	if f.insecure {
		st.Conditions = append(st.Conditions, finding.New(string(gatewayv1.GatewayReasonConfigurationChanged),
			"clients are let in without a valid certificate: validation mode AllowInsecureFallback").Condition(conditionInsecureFrontend, true))
	}
	return st
}

func (f *frame) key() model.GatewayKey {
	return model.GatewayKey{Namespace: f.gateway.Name.Namespace, Name: f.gateway.Name.Name}
}

func (f *frame) accepted() model.Condition {
	if f.refused != nil {
		return f.refused.Condition(conditionAccepted, false)
	}
	ok := finding.New(finding.Accepted, "the Gateway is valid")
	if bad := invalidNames(f.parents[0].listeners); bad != "" {
		ok = finding.New(finding.ListenersNotValid, "the Gateway is valid but for listeners %s: see their conditions", bad)
	}
	return ok.Condition(conditionAccepted, true)
}

// invalidNames lists the listeners that are not accepted.
func invalidNames(ls []*listener) string {
	var bad []string
	for _, l := range ls {
		if l.refused != nil {
			bad = append(bad, l.name)
		}
	}
	return strings.Join(bad, ", ")
}

// programmed says whether something is served, and can be dialled.
func (r *Resolver) programmed(f *frame, accepted model.Condition) model.Condition {
	switch {
	case !accepted.Status:
		return finding.New(finding.Invalid, "it is not accepted: %s", accepted.Message).Condition(conditionProgrammed, false)
	case f.reach.unusable != nil:
		return f.reach.unusable.Condition(conditionProgrammed, false)
	}
	if wrong := r.partlyTaken(f); wrong != nil {
		return wrong.Condition(conditionProgrammed, false)
	}
	var why finding.Finding
	for _, l := range f.listeners {
		if wrong := r.idle(f, l); wrong == nil {
			return finding.New(finding.Programmed, "listeners are served").Condition(conditionProgrammed, true)
		} else if why.Reason == "" {
			why = *wrong
		}
	}
	why.Message = "no listener is served: " + why.Message
	return why.Condition(conditionProgrammed, false)
}
func (f *frame) resolvedRefs() model.Condition {
	if f.unresolved != nil {
		return f.unresolved.Condition(conditionResolvedRefs, false)
	}
	var bad []string
	for _, l := range f.parents[0].listeners {
		if len(l.unresolved) > 0 {
			bad = append(bad, l.name)
		}
	}
	if len(bad) > 0 {
		return finding.New(string(gatewayv1.GatewayReasonListenersNotResolved),
			"references of listeners %s lead nowhere: see their conditions", strings.Join(bad, ", ")).Condition(conditionResolvedRefs, false)
	}
	return finding.New(finding.ResolvedRefs, "all references are resolved").Condition(conditionResolvedRefs, true)
}

// listenerSetStatus is the status of a ListenerSet of a Gateway of ours.
func (r *Resolver) listenerSetStatus(n object.Name) *model.Status {
	s := r.listenerSets[n]
	if s == nil {
		return nil
	}
	p := r.parentAt[n.Ref(object.KindListenerSet)]
	f := r.frames[s.gateway]
	if p == nil || f == nil {
		return nil
	}
	accepted := p.accepted(f)
	return &model.Status{
		Origin: p.origin, Listeners: r.listenerStatuses(f, p), Gateway: f.key(),
		Conditions: []model.Condition{accepted, r.setProgrammed(f, accepted)},
	}
}

// accepted says whether a ListenerSet has a place in its Gateway.
func (p *parentFrame) accepted(f *frame) model.Condition {
	switch {
	case p.refused != nil:
		return p.refused.Condition(conditionAccepted, false)
	case f.refused != nil && f.refused.Reason != finding.ListenersNotValid:
		return finding.New(string(gatewayv1.ListenerSetReasonParentNotAccepted),
			"%s is not accepted: %s", f.gateway.ref, f.refused.Message).Condition(conditionAccepted, false)
	case !slices.ContainsFunc(p.listeners, (*listener).sound):
		return finding.New(finding.ListenersNotValid,
			"no listener is valid and has what it needs: see their conditions").Condition(conditionAccepted, false)
	}
	ok := finding.New(finding.Accepted, "the ListenerSet belongs to %s", f.gateway.ref)
	if bad := invalidNames(p.listeners); bad != "" {
		ok = finding.New(finding.ListenersNotValid, "%s, but for listeners %s: see their conditions", ok.Message, bad)
	}
	return ok.Condition(conditionAccepted, true)
}

func (r *Resolver) setProgrammed(f *frame, accepted model.Condition) model.Condition {
	if !accepted.Status {
		return finding.New(accepted.Reason, "it is not accepted: %s", accepted.Message).Condition(conditionProgrammed, false)
	}
	if c := r.programmed(f, f.accepted()); !c.Status {
		return finding.New("ParentNotProgrammed", "%s: %s", f.gateway.ref, c.Message).Condition(conditionProgrammed, false)
	}
	return finding.New(finding.Programmed, "listeners are served").Condition(conditionProgrammed, true)
}

func (r *Resolver) listenerStatuses(f *frame, p *parentFrame) []model.ListenerStatus {
	out := make([]model.ListenerStatus, len(p.listeners))
	for i, l := range p.listeners {
		out[i] = model.ListenerStatus{
			Name: l.name, Port: l.port, Protocol: string(l.protocol), Hostname: l.domain, Origin: l.origin, Chain: l.chain(),
			Kinds: l.kinds, AttachedRoutes: r.attachedTo(l.listenerKey), Conditions: r.listenerConditions(f, l),
		}
	}
	return out
}

// attachedTo counts the routes that are accepted on a listener.
func (r *Resolver) attachedTo(k listenerKey) int32 {
	n := len(r.guests[k])
	for _, l := range r.losers[k] {
		if !l.older {
			n--
		}
	}
	return int32(n)
}

func (r *Resolver) listenerConditions(f *frame, l *listener) []model.Condition {
	var cs []model.Condition
	if l.refused != nil {
		cs = append(cs, l.refused.Condition(conditionAccepted, false))
	} else {
		cs = append(cs, finding.New(finding.Accepted, "the listener is valid").Condition(conditionAccepted, true))
	}
	if wrong := r.idle(f, l); wrong != nil {
		cs = append(cs, wrong.Condition(conditionProgrammed, false))
	} else {
		cs = append(cs, finding.New(finding.Programmed, "the listener is served").Condition(conditionProgrammed, true))
	}
	if len(l.unresolved) > 0 {
		cs = append(cs, finding.Merge("", l.unresolved).Condition(conditionResolvedRefs, false))
	} else {
		cs = append(cs, finding.New(finding.ResolvedRefs, "all references are resolved").Condition(conditionResolvedRefs, true))
	}
	if l.conflicted {
		cs = append(cs, l.refused.Condition(conditionConflicted, true))
	}
	return cs
}

// idle says why a listener is not served; nil when it is.
func (r *Resolver) idle(f *frame, l *listener) *finding.Finding {
	switch {
	case l.conflicted:
		return l.refused
	case l.refused != nil:
		return finding.New(finding.Invalid, "it is not accepted: %s", l.refused.Message)
	case l.useless:
		return finding.New(finding.Invalid, "it has nothing to serve with: see ResolvedRefs")
	case f.refused != nil:
		return finding.New(finding.Invalid, "%s is not accepted: %s", f.gateway.ref, f.refused.Message)
	case !f.reach.known:
		return finding.New(string(gatewayv1.ListenerReasonPending), "%s", f.reach.unusable.Message)
	}
	return r.portTaken(f, l.portKey())
}
