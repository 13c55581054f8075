package resolve

import (
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/backend"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/object"
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
		emit(u.reported, u.statuses, ref, now)
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
