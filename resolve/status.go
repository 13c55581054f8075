package resolve

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
)

// The types of conditions that resolve sets.
const (
	conditionAccepted         = string(gatewayv1.RouteConditionAccepted)
	conditionResolvedRefs     = string(gatewayv1.RouteConditionResolvedRefs)
	conditionPartiallyInvalid = string(gatewayv1.RouteConditionPartiallyInvalid)
	conditionProgrammed       = string(gatewayv1.GatewayConditionProgrammed)
	conditionInsecureFrontend = string(gatewayv1.GatewayConditionInsecureFrontendValidationMode)
	// conditionConflicted is set, and then true, on a parent where another route
	// has ports that this one attaches to.
	conditionConflicted = "Conflicted"
)

// The reasons that resolve gives. See docs/routes.md.
const (
	reasonAccepted            = string(gatewayv1.RouteReasonAccepted)
	reasonResolvedRefs        = string(gatewayv1.RouteReasonResolvedRefs)
	reasonNoMatchingParent    = string(gatewayv1.RouteReasonNoMatchingParent)
	reasonUnsupportedValue    = string(gatewayv1.RouteReasonUnsupportedValue)
	reasonIncompatibleFilters = string(gatewayv1.RouteReasonIncompatibleFilters)
	reasonInvalidKind         = string(gatewayv1.RouteReasonInvalidKind)
	reasonBackendNotFound     = string(gatewayv1.RouteReasonBackendNotFound)
	reasonUnsupportedProtocol = string(gatewayv1.RouteReasonUnsupportedProtocol)
	reasonProgrammed          = string(gatewayv1.GatewayReasonProgrammed)
	reasonListenersNotValid   = string(gatewayv1.GatewayReasonListenersNotValid)
	reasonInvalidParameters   = string(gatewayv1.GatewayReasonInvalidParameters)
	reasonNotAllowed          = string(gatewayv1.ListenerSetReasonNotAllowed)
	reasonRefNotPermitted     = string(gatewayv1.RouteReasonRefNotPermitted)
	reasonConflicted          = "Conflicted"        // a more specific kind of route has the port
	reasonOlderRoute          = "OlderRoute"        // an older route of the same kind has the port
	reasonUnsupportedFilter   = "UnsupportedFilter" // a standard filter that Sluice lacks

	reasonNoAddress              = "NoAddress"
	reasonInvalidAddress         = "InvalidAddress"
	reasonAddressInUse           = "AddressInUse"
	reasonInvalidPort            = "InvalidPort"
	reasonNoService              = "NoService"
	reasonNoMatchingPort         = "NoMatchingPort"
	reasonUnsupportedAddressType = "UnsupportedAddressType"
	reasonInvalid                = "Invalid"
)

// updateStatuses writes the statuses of the marked objects, and reports those
// that changed.
func (u *round) updateStatuses() {
	for ref := range u.report {
		now := u.statusOf(ref)
		was := u.statuses[ref]
		if reflect.DeepEqual(was, now) {
			continue
		}
		u.reported[ref] = now
		if now == nil {
			delete(u.statuses, ref)
		} else {
			u.statuses[ref] = now
		}
	}
}

func (r *Resolver) statusOf(ref model.ObjectRef) *model.Status {
	switch ref.Kind {
	case kindService:
		if s := r.services[nameOf(ref)]; s != nil {
			usable := s.kind != clusterService || len(s.vips) > 0
			return complaint(s.origin, usable, append(slices.Clip(s.problems), r.lostAddresses(s)...))
		}
	case kindEndpointSlice:
		if s := r.slices[nameOf(ref)]; s != nil {
			stray := r.stray(s)
			return complaint(s.origin, len(s.endpoints) > 0 && stray == nil, append(slices.Clip(s.problems), stray...))
		}
	case kindWorkload:
		if w := r.workloads[nameOf(ref)]; w != nil {
			lost := r.lostPlace(w)
			return complaint(w.made.Origin, w.place != "" && lost == nil, append(slices.Clip(w.problems), lost...))
		}
	case kindGatewayClass:
		if c := r.classes[ref.Name]; c != nil {
			return r.classStatus(c)
		}
	case kindGateway:
		return r.gatewayStatus(nameOf(ref))
	case kindListenerSet:
		return r.listenerSetStatus(nameOf(ref))
	case kindBackendTLSPolicy:
		return r.policyStatus(nameOf(ref))
	default:
		if rt := r.routes[ref]; rt != nil {
			return r.routeStatus(rt)
		}
	}
	return nil
}

// complaint is the status of an object without parents, when it has problems:
// they leave it usable in part, or not at all.
func complaint(origin model.Origin, usable bool, problems []*finding) *model.Status {
	if len(problems) == 0 {
		return nil
	}
	f := merge("", problems)
	st := &model.Status{Origin: origin}
	if !usable {
		st.Conditions = []model.Condition{f.condition(conditionAccepted, false)}
		return st
	}
	st.Conditions = []model.Condition{because(reasonAccepted,
		"the object is used as far as it can be").condition(conditionAccepted, true), f.condition(conditionPartiallyInvalid, true)}
	return st
}

func (r *Resolver) lostAddresses(s *service) []*finding {
	var fs []*finding
	for _, a := range s.wanted {
		if h := r.holders[a]; h != s.name {
			fs = append(fs, because(reasonAddressInUse,
				"cluster address %s belongs to %s, which came first: give this Service another", a, objectAt(r.services[h].origin)))
		}
	}
	return fs
}

func (r *Resolver) lostPlace(w *workload) []*finding {
	if w.place == "" {
		return nil
	}
	if t := r.tenant(w.place); t != w {
		return []*finding{because(reasonInvalid, "%s belongs to %s, which came first", w.place, objectAt(t.made.Origin))}
	}
	return nil
}

// routeStatus writes a route's status. What is wrong with parentRefs that are not
// ours stands apart from them: in a cluster they may be another controller's.
func (r *Resolver) routeStatus(rt *route) *model.Status {
	st := &model.Status{Origin: rt.obj.Origin}
	for i, p := range rt.parents {
		ps := model.ParentStatus{Parent: p.group.service.ref(kindService), Ref: p.ref, Port: p.port, Section: p.section}
		ps.Conditions = rt.conditions(p, rt.attached[i])
		st.Parents = append(st.Parents, ps)
	}
	strays := slices.Clone(rt.strays)
	for i, g := range rt.gates {
		if !rt.admissions[i].ours {
			strays = append(strays, because(reasonNoMatchingParent,
				"parentRefs[%d] names %s: there is none whose GatewayClass is Sluice's", g.ref, g.parent))
			continue
		}
		ps := model.ParentStatus{Parent: g.parent, Ref: g.ref, Port: g.port, Section: g.section}
		ps.Conditions = r.gateConditions(rt, rt.admissions[i])
		st.Parents = append(st.Parents, ps)
	}
	slices.SortFunc(st.Parents, func(a, b model.ParentStatus) int { return cmp.Compare(a.Ref, b.Ref) })
	st.Conditions = stranded(len(st.Parents), strays)
	return st
}

// gateConditions are a route's conditions for a Gateway or ListenerSet.
func (r *Resolver) gateConditions(rt *route, a admission) []model.Condition {
	accepted, conflict := r.admitted(rt, a)
	cs := []model.Condition{accepted, resolvedRefs(rt.served)}
	if accepted.Status && len(rt.served.dropped) > 0 {
		cs = append(cs, merge("Dropped Rule: ", rt.served.dropped).condition(conditionPartiallyInvalid, true))
	}
	if conflict != nil {
		cs = append(cs, conflict.condition(conditionConflicted, true))
	}
	return cs
}

// admitted returns the Accepted condition for a gate, and when other routes have
// listeners of it, which.
func (r *Resolver) admitted(rt *route, a admission) (model.Condition, *finding) {
	if a.refused != nil {
		return a.refused.condition(conditionAccepted, false), nil
	}
	if rt.served.rejected != nil {
		return rt.served.rejected.condition(conditionAccepted, false), nil
	}
	var conflicts []*finding
	outranked := 0
	for _, k := range a.listeners {
		l, lost := r.losers[k][rt]
		switch {
		case lost && l.older:
			conflicts = append(conflicts, because(reasonOlderRoute, "%s takes listener %q: it is older, or first by name", objectAt(l.to), k.name))
		case lost:
			outranked++
			conflicts = append(conflicts, because(reasonConflicted,
				"%s has host names of this route on listener %q, and came first: an HTTPRoute and a GRPCRoute cannot share them", objectAt(l.to), k.name))
		}
	}
	if outranked > 0 && outranked == len(a.listeners) {
		return merge("", conflicts).condition(conditionAccepted, false), nil
	}
	accepted := inForce(rt.served, len(conflicts) == len(a.listeners))
	if len(conflicts) == 0 {
		return accepted, nil
	}
	return accepted, merge("", conflicts)
}

// inForce is the Accepted condition of a route that is accepted, and says whether
// others leave it nothing.
func inForce(c *compiled, nothing bool) model.Condition {
	ok := because(reasonAccepted, "the route is in force")
	if nothing {
		ok.message = "the route is valid, but not in force: see Conflicted"
	}
	if len(c.notes) > 0 {
		ok.message += "; " + strings.Join(c.notes, "; ")
	}
	return ok.condition(conditionAccepted, true)
}

// stranded tells of a route that no parentRef brings into force, given how many
// are ours, and of those parentRefs that never will.
func stranded(ours int, strays []*finding) []model.Condition {
	wrong := slices.DeleteFunc(slices.Clone(strays), func(f *finding) bool { return f.reason != reasonInvalidKind })
	switch {
	case ours > 0 && len(wrong) > 0:
		return []model.Condition{merge("", wrong).condition(conditionPartiallyInvalid, true)}
	case ours > 0:
		return nil
	case len(strays) == 0:
		return []model.Condition{because(reasonNoMatchingParent,
			"it has no parentRefs: name the Service or Gateway that it is for").condition(conditionAccepted, false)}
	}
	if len(wrong) == 0 {
		wrong = strays
	}
	return []model.Condition{merge("", wrong).condition(conditionAccepted, false)}
}

func (rt *route) conditions(p parent, at attachment) []model.Condition {
	accepted, conflict := rt.accepted(p, at)
	cs := []model.Condition{accepted, resolvedRefs(rt.compiled)}
	if accepted.Status && len(rt.compiled.dropped) > 0 {
		cs = append(cs, merge("Dropped Rule: ", rt.compiled.dropped).condition(conditionPartiallyInvalid, true))
	}
	if conflict != nil {
		cs = append(cs, conflict.condition(conditionConflicted, true))
	}
	return cs
}

// accepted returns the Accepted condition, and when the route is accepted but
// does not have all ports, what took them.
func (rt *route) accepted(p parent, at attachment) (model.Condition, *finding) {
	if at.refused != nil {
		return at.refused.condition(conditionAccepted, false), nil
	}
	if rt.compiled.rejected != nil {
		return rt.compiled.rejected.condition(conditionAccepted, false), nil
	}
	conflicts, outranked := rt.conflicts(p, at)
	if outranked > 0 && outranked == len(at.ports) {
		return merge("", conflicts).condition(conditionAccepted, false), nil
	}
	accepted := inForce(rt.compiled, len(conflicts) == len(at.ports))
	if len(conflicts) == 0 {
		return accepted, nil
	}
	return accepted, merge("", conflicts)
}

// conflicts lists the ports that other routes took, and counts those that went to
// a more specific kind of route.
func (rt *route) conflicts(p parent, at attachment) (fs []*finding, outranked int) {
	for _, k := range at.ports {
		l, ok := rt.losses[p.group][k]
		switch {
		case !ok:
		case l.older:
			fs = append(fs, because(reasonOlderRoute, "%s takes port %d: it is older, or first by name", objectAt(l.to), k.port))
		default:
			outranked++
			fs = append(fs, because(reasonConflicted,
				"%s takes port %d: %s goes before %s", objectAt(l.to), k.port, withArticle(l.to.Object.Kind), rt.article()))
		}
	}
	return fs, outranked
}

func resolvedRefs(c *compiled) model.Condition {
	if len(c.unresolved) > 0 {
		return merge("", c.unresolved).condition(conditionResolvedRefs, false)
	}
	return because(reasonResolvedRefs, "all references are resolved").condition(conditionResolvedRefs, true)
}

func (f *finding) condition(kind string, status bool) model.Condition {
	return model.Condition{Type: kind, Status: status, Reason: f.reason, Message: f.message}
}

// maxListed bounds how many findings one message lists.
const maxListed = 8

// merge makes one finding of several: the first one's reason, and all messages,
// by rule.
func merge(prefix string, fs []*finding) *finding {
	listed := fs[:min(len(fs), maxListed)]
	msgs := make([]string, 0, len(listed)+1)
	for i, f := range listed {
		msg := f.message
		if f.where != "" && (i == 0 || f.where != listed[i-1].where) {
			msg = f.where + ": " + msg
		}
		msgs = append(msgs, msg)
	}
	if more := len(fs) - len(listed); more > 0 {
		msgs = append(msgs, fmt.Sprintf("and %d more", more))
	}
	return &finding{reason: fs[0].reason, message: prefix + strings.Join(msgs, "; ")}
}

// objectAt names an object and where it stands, for messages.
func objectAt(o model.Origin) string {
	o.Rule = -1
	o.RuleName = ""
	return o.String()
}
