package resolve

import (
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/gateway"
	"sluice.io/sluice/resolve/object"
)

// gatewayStatus is the status of a Gateway of ours; nil for others. A Gateway
// from a file whose class is not ours is told so, as nobody else is there to.
func (r *Resolver) gatewayStatus(n object.Name) *model.Status {
	f := r.frames[n]
	if f == nil {
		g := r.gateways[n]
		if g == nil || !g.Standalone() {
			return nil
		}
		return &model.Status{Origin: g.Object.Origin, Conditions: []model.Condition{finding.New(string(gatewayv1.GatewayReasonPending),
			"there is no GatewayClass %q with controllerName %s", g.Spec.GatewayClassName, ControllerName).Condition(conditionAccepted, false)}}
	}
	st := &model.Status{
		Origin: f.Origin, Listeners: r.listenerStatuses(f, f.Parents[0]), AttachedListenerSets: f.Attached,
		Gateway: f.Key(), Addresses: f.Reach.Addresses,
	}
	accepted := gatewayAccepted(f)
	st.Conditions = []model.Condition{accepted, r.programmed(f, accepted), gatewayResolved(f)}
	if f.Insecure {
		st.Conditions = append(st.Conditions, finding.New(string(gatewayv1.GatewayReasonConfigurationChanged),
			"clients are let in without a valid certificate: validation mode AllowInsecureFallback").Condition(conditionInsecureFrontend, true))
	}
	return st
}

// gatewayAccepted says whether a Gateway is valid.
func gatewayAccepted(f *gateway.Frame) model.Condition {
	if f.Refused != nil {
		return f.Refused.Condition(conditionAccepted, false)
	}
	ok := finding.New(finding.Accepted, "the Gateway is valid")
	if bad := invalidNames(f.Parents[0].Listeners); bad != "" {
		ok = finding.New(finding.ListenersNotValid, "the Gateway is valid but for listeners %s: see their conditions", bad)
	}
	return ok.Condition(conditionAccepted, true)
}

// invalidNames lists the listeners that are not accepted.
func invalidNames(ls []*gateway.Listener) string {
	var bad []string
	for _, l := range ls {
		if l.Refused != nil {
			bad = append(bad, l.Name)
		}
	}
	return strings.Join(bad, ", ")
}

// programmed says whether something is served, and can be dialled.
func (r *Resolver) programmed(f *gateway.Frame, accepted model.Condition) model.Condition {
	switch {
	case !accepted.Status:
		return finding.New(finding.Invalid, "it is not accepted: %s", accepted.Message).Condition(conditionProgrammed, false)
	case f.Reach.Unusable != nil:
		return f.Reach.Unusable.Condition(conditionProgrammed, false)
	}
	if wrong := r.partlyTaken(f); wrong != nil {
		return wrong.Condition(conditionProgrammed, false)
	}
	var why finding.Finding
	for _, l := range f.Listeners {
		if wrong := r.idle(f, l); wrong == nil {
			return finding.New(finding.Programmed, "listeners are served").Condition(conditionProgrammed, true)
		} else if why.Reason == "" {
			why = *wrong
		}
	}
	why.Message = "no listener is served: " + why.Message
	return why.Condition(conditionProgrammed, false)
}

// gatewayResolved says whether all references of a Gateway lead somewhere.
func gatewayResolved(f *gateway.Frame) model.Condition {
	if f.Unresolved != nil {
		return f.Unresolved.Condition(conditionResolvedRefs, false)
	}
	var bad []string
	for _, l := range f.Parents[0].Listeners {
		if len(l.Unresolved) > 0 {
			bad = append(bad, l.Name)
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
	f := r.frames[s.Gateway]
	if p == nil || f == nil {
		return nil
	}
	accepted := setAccepted(f, p)
	return &model.Status{
		Origin: p.Origin, Listeners: r.listenerStatuses(f, p), Gateway: f.Key(),
		Conditions: []model.Condition{accepted, r.setProgrammed(f, accepted)},
	}
}

// setAccepted says whether a ListenerSet has a place in its Gateway.
func setAccepted(f *gateway.Frame, p *gateway.Parent) model.Condition {
	if wrong := p.ShutOut(f); wrong != nil {
		return wrong.Condition(conditionAccepted, false)
	}
	ok := finding.New(finding.Accepted, "the ListenerSet belongs to %s", f.Gateway.Ref)
	if bad := invalidNames(p.Listeners); bad != "" {
		ok = finding.New(finding.ListenersNotValid, "%s, but for listeners %s: see their conditions", ok.Message, bad)
	}
	return ok.Condition(conditionAccepted, true)
}

func (r *Resolver) setProgrammed(f *gateway.Frame, accepted model.Condition) model.Condition {
	if !accepted.Status {
		return finding.New(accepted.Reason, "it is not accepted: %s", accepted.Message).Condition(conditionProgrammed, false)
	}
	if c := r.programmed(f, gatewayAccepted(f)); !c.Status {
		return finding.New("ParentNotProgrammed", "%s: %s", f.Gateway.Ref, c.Message).Condition(conditionProgrammed, false)
	}
	return finding.New(finding.Programmed, "listeners are served").Condition(conditionProgrammed, true)
}

func (r *Resolver) listenerStatuses(f *gateway.Frame, p *gateway.Parent) []model.ListenerStatus {
	out := make([]model.ListenerStatus, len(p.Listeners))
	for i, l := range p.Listeners {
		out[i] = model.ListenerStatus{
			Name: l.Name, Port: l.Port, Protocol: string(l.Protocol), Hostname: l.Domain, Origin: l.Origin, Chain: l.Chain(),
			Kinds: l.Kinds, AttachedRoutes: r.attachedTo(l.ListenerKey), Conditions: r.listenerConditions(f, l),
		}
	}
	return out
}

// attachedTo counts the routes that are accepted on a listener.
func (r *Resolver) attachedTo(k gateway.ListenerKey) int32 {
	n := len(r.guests[k])
	for _, l := range r.losers[k] {
		if !l.older {
			n--
		}
	}
	return int32(n)
}

func (r *Resolver) listenerConditions(f *gateway.Frame, l *gateway.Listener) []model.Condition {
	var cs []model.Condition
	if l.Refused != nil {
		cs = append(cs, l.Refused.Condition(conditionAccepted, false))
	} else {
		cs = append(cs, finding.New(finding.Accepted, "the listener is valid").Condition(conditionAccepted, true))
	}
	if wrong := r.idle(f, l); wrong != nil {
		cs = append(cs, wrong.Condition(conditionProgrammed, false))
	} else {
		cs = append(cs, finding.New(finding.Programmed, "the listener is served").Condition(conditionProgrammed, true))
	}
	if len(l.Unresolved) > 0 {
		cs = append(cs, finding.Merge("", l.Unresolved).Condition(conditionResolvedRefs, false))
	} else {
		cs = append(cs, finding.New(finding.ResolvedRefs, "all references are resolved").Condition(conditionResolvedRefs, true))
	}
	if l.Conflicted {
		cs = append(cs, l.Refused.Condition(conditionConflicted, true))
	}
	return cs
}

// idle says why a listener is not served; nil when it is.
func (r *Resolver) idle(f *gateway.Frame, l *gateway.Listener) *finding.Finding {
	switch {
	case l.Conflicted:
		return l.Refused
	case l.Refused != nil:
		return finding.New(finding.Invalid, "it is not accepted: %s", l.Refused.Message)
	case l.Useless:
		return finding.New(finding.Invalid, "it has nothing to serve with: see ResolvedRefs")
	case f.Refused != nil:
		return finding.New(finding.Invalid, "%s is not accepted: %s", f.Gateway.Ref, f.Refused.Message)
	case !f.Reach.Known:
		return finding.New(string(gatewayv1.ListenerReasonPending), "%s", f.Reach.Unusable.Message)
	}
	return r.portTaken(f, l.PortKey())
}
