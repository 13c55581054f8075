package resolve

import (
	"cmp"
	"reflect"
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/backend"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/resolve/rules"
	"sluice.io/sluice/resolve/workload"
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
	case object.KindService:
		if s := r.services[object.NameOf(ref)]; s != nil {
			usable := s.Kind != backend.Cluster || len(s.vips) > 0
			return complaint(s.Origin, usable, append(slices.Clip(s.Problems), r.lostAddresses(s)...))
		}
	case object.KindEndpointSlice:
		if s := r.slices[object.NameOf(ref)]; s != nil {
			problems, stray := s.Problems, r.stray(s)
			if stray != nil {
				problems = append(slices.Clip(problems), stray)
			}
			return complaint(s.Origin, len(s.Endpoints) > 0 && stray == nil, problems)
		}
	case object.KindWorkload:
		if w := r.workloads[object.NameOf(ref)]; w != nil {
			lost := r.lostPlace(w)
			return complaint(w.Made.Origin, w.Place != "" && lost == nil, append(slices.Clip(w.Problems), lost...))
		}
	case object.KindGatewayClass:
		if c := r.classes[ref.Name]; c != nil {
			return r.classStatus(c)
		}
	case object.KindGateway:
		return r.gatewayStatus(object.NameOf(ref))
	case object.KindListenerSet:
		return r.listenerSetStatus(object.NameOf(ref))
	case object.KindBackendTLSPolicy:
		return r.policyStatus(object.NameOf(ref))
	default:
		if rt := r.routes[ref]; rt != nil {
			return r.routeStatus(rt)
		}
	}
	return nil
}

// complaint is the status of an object without parents, when it has problems:
// they leave it usable in part, or not at all.
func complaint(origin model.Origin, usable bool, problems []*finding.Finding) *model.Status {
	if len(problems) == 0 {
		return nil
	}
	f := finding.Merge("", problems)
	st := &model.Status{Origin: origin}
	if !usable {
		st.Conditions = []model.Condition{f.Condition(conditionAccepted, false)}
		return st
	}
	st.Conditions = []model.Condition{finding.New(finding.Accepted,
		"the object is used as far as it can be").Condition(conditionAccepted, true), f.Condition(conditionPartiallyInvalid, true)}
	return st
}

func (r *Resolver) lostAddresses(s *service) []*finding.Finding {
	var fs []*finding.Finding
	for _, a := range s.Addresses {
		if h := r.vips.Holder(a); h != s.Name {
			fs = append(fs, finding.New(finding.AddressInUse,
				"cluster address %s belongs to %s, which came first: give this Service another", a, finding.ObjectAt(r.services[h].Origin)))
		}
	}
	return fs
}

func (r *Resolver) lostPlace(w *workload.Workload) []*finding.Finding {
	if w.Place == "" {
		return nil
	}
	if t := r.workloads[r.places.Holder(w.Place)]; t != w {
		return []*finding.Finding{finding.New(finding.Invalid, "%s belongs to %s, which came first", w.Place, finding.ObjectAt(t.Made.Origin))}
	}
	return nil
}

// routeStatus writes a route's status. What is wrong with parentRefs that are not
// ours stands apart from them: in a cluster they may be another controller's.
func (r *Resolver) routeStatus(rt *route) *model.Status {
	st := &model.Status{Origin: rt.Object.Origin}
	for i, p := range rt.parents {
		ps := model.ParentStatus{Parent: p.group.service.Ref(object.KindService), Ref: p.ref, Port: p.port, Section: p.section}
		ps.Conditions = rt.conditions(p, rt.attached[i])
		st.Parents = append(st.Parents, ps)
	}
	strays := slices.Clone(rt.strays)
	for i, g := range rt.gates {
		if !rt.admissions[i].ours {
			strays = append(strays, finding.New(finding.NoMatchingParent,
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
	if accepted.Status && len(rt.served.Dropped) > 0 {
		cs = append(cs, finding.Merge("Dropped Rule: ", rt.served.Dropped).Condition(conditionPartiallyInvalid, true))
	}
	if conflict != nil {
		cs = append(cs, conflict.Condition(conditionConflicted, true))
	}
	return cs
}

// admitted returns the Accepted condition for a gate, and when other routes have
// listeners of it, which.
func (r *Resolver) admitted(rt *route, a admission) (model.Condition, *finding.Finding) {
	if a.refused != nil {
		return a.refused.Condition(conditionAccepted, false), nil
	}
	if rt.served.Rejected != nil {
		return rt.served.Rejected.Condition(conditionAccepted, false), nil
	}
	var conflicts []*finding.Finding
	outranked := 0
	for _, k := range a.listeners {
		l, lost := r.losers[k][rt]
		switch {
		case lost && l.older:
			conflicts = append(conflicts, finding.New(finding.OlderRoute, "%s takes listener %q: it is older, or first by name", finding.ObjectAt(l.to), k.Name))
		case lost:
			outranked++
			conflicts = append(conflicts, finding.New(finding.Conflicted,
				"%s has host names of this route on listener %q, and came first: an HTTPRoute and a GRPCRoute cannot share them", finding.ObjectAt(l.to), k.Name))
		}
	}
	if outranked > 0 && outranked == len(a.listeners) {
		return finding.Merge("", conflicts).Condition(conditionAccepted, false), nil
	}
	accepted := inForce(rt.served, len(conflicts) == len(a.listeners))
	if len(conflicts) == 0 {
		return accepted, nil
	}
	return accepted, finding.Merge("", conflicts)
}

// inForce is the Accepted condition of a route that is accepted, and says whether
// others leave it nothing.
func inForce(c *rules.Compiled, nothing bool) model.Condition {
	ok := finding.New(finding.Accepted, "the route is in force")
	if nothing {
		ok.Message = "the route is valid, but not in force: see Conflicted"
	}
	if len(c.Notes) > 0 {
		ok.Message += "; " + strings.Join(c.Notes, "; ")
	}
	return ok.Condition(conditionAccepted, true)
}

// stranded tells of a route that no parentRef brings into force, given how many
// are ours, and of those parentRefs that never will.
func stranded(ours int, strays []*finding.Finding) []model.Condition {
	wrong := slices.DeleteFunc(slices.Clone(strays), func(f *finding.Finding) bool { return f.Reason != finding.InvalidKind })
	switch {
	case ours > 0 && len(wrong) > 0:
		return []model.Condition{finding.Merge("", wrong).Condition(conditionPartiallyInvalid, true)}
	case ours > 0:
		return nil
	case len(strays) == 0:
		return []model.Condition{finding.New(finding.NoMatchingParent,
			"it has no parentRefs: name the Service or Gateway that it is for").Condition(conditionAccepted, false)}
	}
	if len(wrong) == 0 {
		wrong = strays
	}
	return []model.Condition{finding.Merge("", wrong).Condition(conditionAccepted, false)}
}

func (rt *route) conditions(p parent, at attachment) []model.Condition {
	accepted, conflict := rt.accepted(p, at)
	cs := []model.Condition{accepted, resolvedRefs(rt.compiled)}
	if accepted.Status && len(rt.compiled.Dropped) > 0 {
		cs = append(cs, finding.Merge("Dropped Rule: ", rt.compiled.Dropped).Condition(conditionPartiallyInvalid, true))
	}
	if conflict != nil {
		cs = append(cs, conflict.Condition(conditionConflicted, true))
	}
	return cs
}

// accepted returns the Accepted condition, and when the route is accepted but
// does not have all ports, what took them.
func (rt *route) accepted(p parent, at attachment) (model.Condition, *finding.Finding) {
	if at.refused != nil {
		return at.refused.Condition(conditionAccepted, false), nil
	}
	if rt.compiled.Rejected != nil {
		return rt.compiled.Rejected.Condition(conditionAccepted, false), nil
	}
	conflicts, outranked := rt.conflicts(p, at)
	if outranked > 0 && outranked == len(at.ports) {
		return finding.Merge("", conflicts).Condition(conditionAccepted, false), nil
	}
	accepted := inForce(rt.compiled, len(conflicts) == len(at.ports))
	if len(conflicts) == 0 {
		return accepted, nil
	}
	return accepted, finding.Merge("", conflicts)
}

// conflicts lists the ports that other routes took, and counts those that went to
// a more specific kind of route.
func (rt *route) conflicts(p parent, at attachment) (fs []*finding.Finding, outranked int) {
	for _, k := range at.ports {
		l, ok := rt.losses[p.group][k]
		switch {
		case !ok:
		case l.older:
			fs = append(fs, finding.New(finding.OlderRoute, "%s takes port %d: it is older, or first by name", finding.ObjectAt(l.to), k.Port))
		default:
			outranked++
			fs = append(fs, finding.New(finding.Conflicted,
				"%s takes port %d: %s goes before %s", finding.ObjectAt(l.to), k.Port, rules.WithArticle(l.to.Object.Kind), rt.Article()))
		}
	}
	return fs, outranked
}

func resolvedRefs(c *rules.Compiled) model.Condition {
	if len(c.Unresolved) > 0 {
		return finding.Merge("", c.Unresolved).Condition(conditionResolvedRefs, false)
	}
	return finding.New(finding.ResolvedRefs, "all references are resolved").Condition(conditionResolvedRefs, true)
}
