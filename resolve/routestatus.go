package resolve

import (
	"cmp"
	"slices"
	"strings"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/resolve/rules"
)

// routeStatus writes a route's status. What is wrong with parentRefs that are not
// ours stands apart from them: in a cluster they may be another controller's.
func (r *Resolver) routeStatus(rt *route) *model.Status {
	st := &model.Status{Origin: rt.Object.Origin}
	for i, p := range rt.parents {
		st.Parents = append(st.Parents, model.ParentStatus{
			Parent: p.group.service.Ref(object.KindService), Ref: p.ref, Port: p.port, Section: p.section,
			Conditions: rt.atService(p, rt.attached[i]).conditions(),
		})
	}
	strays := slices.Clone(rt.strays)
	for i, g := range rt.gates {
		if !rt.admissions[i].ours {
			strays = append(strays, finding.New(finding.NoMatchingParent,
				"parentRefs[%d] names %s: there is none whose GatewayClass is Sluice's", g.ref, g.parent))
			continue
		}
		st.Parents = append(st.Parents, model.ParentStatus{
			Parent: g.parent, Ref: g.ref, Port: g.port, Section: g.section,
			Conditions: r.atGate(rt, rt.admissions[i]).conditions(),
		})
	}
	slices.SortFunc(st.Parents, func(a, b model.ParentStatus) int { return cmp.Compare(a.Ref, b.Ref) })
	st.Conditions = stranded(len(st.Parents), strays)
	return st
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

// outcome is what a route came to at one parent.
type outcome struct {
	*rules.Compiled
	refused   *finding.Finding   // it is not attached
	attached  int                // the ports, or listeners, that it attaches to
	conflicts []*finding.Finding // those that other routes have, one each
	outranked int                // how many of these are not older routes of its kind
}

// atService tells what became of a route at a Service.
func (rt *route) atService(p parent, at attachment) outcome {
	o := outcome{Compiled: rt.compiled, refused: at.refused, attached: len(at.ports)}
	for _, k := range at.ports {
		l, lost := rt.losses[p.group][k]
		switch {
		case lost && l.older:
			o.conflict(finding.OlderRoute, "%s takes port %d: it is older, or first by name", finding.ObjectAt(l.to), k.Port)
		case lost:
			o.conflict(finding.Conflicted,
				"%s takes port %d: %s goes before %s", finding.ObjectAt(l.to), k.Port, rules.WithArticle(l.to.Object.Kind), rt.Article())
		}
	}
	return o
}

// atGate tells what became of a route at a Gateway or ListenerSet.
func (r *Resolver) atGate(rt *route, a admission) outcome {
	o := outcome{Compiled: rt.served, refused: a.refused, attached: len(a.listeners)}
	for _, k := range a.listeners {
		l, lost := r.losers[k][rt]
		switch {
		case lost && l.older:
			o.conflict(finding.OlderRoute, "%s takes listener %q: it is older, or first by name", finding.ObjectAt(l.to), k.Name)
		case lost:
			o.conflict(finding.Conflicted,
				"%s has host names of this route on listener %q, and came first: an HTTPRoute and a GRPCRoute cannot share them", finding.ObjectAt(l.to), k.Name)
		}
	}
	return o
}

func (o *outcome) conflict(reason, format string, args ...any) {
	o.conflicts = append(o.conflicts, finding.New(reason, format, args...))
	if reason != finding.OlderRoute {
		o.outranked++
	}
}

func (o outcome) conditions() []model.Condition {
	accepted := o.accepted()
	cs := []model.Condition{accepted, o.resolvedRefs()}
	if accepted.Status && len(o.Dropped) > 0 {
		cs = append(cs, finding.Merge("Dropped Rule: ", o.Dropped).Condition(conditionPartiallyInvalid, true))
	}
	if accepted.Status && len(o.conflicts) > 0 {
		cs = append(cs, finding.Merge("", o.conflicts).Condition(conditionConflicted, true))
	}
	return cs
}

// accepted is the Accepted condition. A route that is accepted may not be in force
// all the same: when older ones leave it nothing.
func (o outcome) accepted() model.Condition {
	switch {
	case o.refused != nil:
		return o.refused.Condition(conditionAccepted, false)
	case o.Rejected != nil:
		return o.Rejected.Condition(conditionAccepted, false)
	case o.outranked > 0 && o.outranked == o.attached:
		return finding.Merge("", o.conflicts).Condition(conditionAccepted, false)
	}
	ok := finding.New(finding.Accepted, "the route is in force")
	if len(o.conflicts) == o.attached {
		ok.Message = "the route is valid, but not in force: see Conflicted"
	}
	if len(o.Notes) > 0 {
		ok.Message += "; " + strings.Join(o.Notes, "; ")
	}
	return ok.Condition(conditionAccepted, true)
}

func (o outcome) resolvedRefs() model.Condition {
	if len(o.Unresolved) > 0 {
		return finding.Merge("", o.Unresolved).Condition(conditionResolvedRefs, false)
	}
	return finding.New(finding.ResolvedRefs, "all references are resolved").Condition(conditionResolvedRefs, true)
}
