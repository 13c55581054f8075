package resolve

import (
	"maps"
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/backend"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/index"
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/resolve/reference"
	"sluice.io/sluice/source"
)

// policy is a BackendTLSPolicy, and what it comes to.
type policy struct {
	*backend.TLSPolicy
	backend.Encryption
}

func (u *round) ingestPolicy(n object.Name, obj *source.Object) {
	if old := u.policies[n]; old != nil {
		if object.SameSpec(old.Object, obj) {
			return
		}
		u.credentials.Release(n.Ref(object.KindBackendTLSPolicy))
		for _, t := range old.Targets {
			u.policiesOf.Remove(t.Service, n)
			u.touchTarget(t.Service)
		}
		delete(u.policies, n)
	}
	u.report.Add(n.Ref(object.KindBackendTLSPolicy))
	o, ok := object.As[*gatewayv1.BackendTLSPolicy](obj)
	if !ok {
		return
	}
	p := &policy{TLSPolicy: backend.ReadPolicy(n, o, obj)}
	for _, t := range p.Targets {
		u.policiesOf.Add(t.Service, n)
	}
	u.policies[n] = p
	u.policiesTouched.Add(n)
}

// touchTarget marks a service whose policies changed, and all of these: which of
// them is followed depends on the others.
func (u *round) touchTarget(service object.Name) {
	u.touch(service)
	for n := range u.policiesOf[service] {
		u.report.Add(n.Ref(object.KindBackendTLSPolicy))
	}
}

// updatePolicies reads the marked policies, and marks the services that they are
// for.
func (u *round) updatePolicies() {
	for n := range u.policiesTouched {
		p := u.policies[n]
		if p == nil {
			continue
		}
		ref := n.Ref(object.KindBackendTLSPolicy)
		u.credentials.Release(ref)
		p.Encryption = p.Resolve(func(bundle model.ObjectRef, invalid string) *finding.Finding {
			return u.credentials.Use(ref, reference.Key{Ref: bundle, Bundle: true}, invalid)
		})
		u.report.Add(ref)
		for _, t := range p.Targets {
			u.touchTarget(t.Service)
		}
	}
}

// winner returns the policy for a target: the oldest.
func (r *Resolver) winner(t backend.Target) *policy {
	var first *policy
	for n := range r.policiesOf[t.Service] {
		p := r.policies[n]
		if slices.Contains(p.Targets, t) && (first == nil || p.Compare(first.Seniority) < 0) {
			first = p
		}
	}
	return first
}

// encryption returns how gateways speak to a service's port: as the policy for the
// port says, else as the one for the whole service; nil for in the clear.
func (r *Resolver) encryption(service object.Name, p backend.Port) *model.BackendTLS {
	if len(r.policiesOf[service]) == 0 || p.Protocol != model.TCP {
		return nil
	}
	won := r.winner(backend.Target{Service: service, Port: p.Name})
	if won == nil || p.Name == "" {
		won = r.winner(backend.Target{Service: service})
	}
	if won == nil {
		return nil
	}
	return won.TLS
}

// policyStatus is what a policy is to each gateway that sends to its targets.
func (r *Resolver) policyStatus(n object.Name) *model.Status {
	p := r.policies[n]
	if p == nil {
		return nil
	}
	st := &model.Status{Origin: p.Object.Origin}
	conditions := []model.Condition{r.policyAccepted(p), policyResolved(p)}
	gateways := index.Set[object.Name]{}
	for _, t := range p.Targets {
		for gw := range r.senders[t.Service] {
			gateways.Add(gw)
		}
	}
	// The Gateway API's bound.
	const most = 16
	for _, gw := range slices.SortedFunc(maps.Keys(gateways), object.Name.Compare) {
		if len(st.Parents) < most {
			st.Parents = append(st.Parents, model.ParentStatus{Parent: gw.Ref(object.KindGateway), Conditions: conditions})
		}
	}
	if len(st.Parents) == 0 {
		st.Conditions = conditions
	}
	return st
}

func (r *Resolver) policyAccepted(p *policy) model.Condition {
	if p.Rejected != nil {
		return p.Rejected.Condition(conditionAccepted, false)
	}
	if len(p.Targets) == 0 {
		return finding.New(string(gatewayv1.PolicyReasonInvalid), "targetRefs name no Service").Condition(conditionAccepted, false)
	}
	var lost []*finding.Finding
	for _, t := range p.Targets {
		if won := r.winner(t); won != p {
			lost = append(lost, finding.New(string(gatewayv1.PolicyReasonConflicted),
				"%s is for the same Service %s, and came first", finding.ObjectAt(won.Object.Origin), t.Service))
		}
	}
	if len(lost) > 0 {
		return finding.Merge("", lost).Condition(conditionAccepted, false)
	}
	return finding.New(string(gatewayv1.PolicyReasonAccepted), "gateways speak TLS to the targets").Condition(conditionAccepted, true)
}

func policyResolved(p *policy) model.Condition {
	if len(p.Unresolved) > 0 {
		return finding.Merge("", p.Unresolved).Condition(conditionResolvedRefs, false)
	}
	return finding.New(finding.ResolvedRefs, "all references are resolved").Condition(conditionResolvedRefs, true)
}

// touchAncestors counts the gateways that send to services for a route, and marks
// the policies for which that is news.
func (u *round) touchAncestors(rt *route) {
	now := index.Set[object.Name]{}
	for k := range rt.domains {
		if l, lost := u.losers[k][rt]; lost && !l.older {
			continue
		}
		if l := u.listenerAt[k]; l != nil {
			now.Add(l.Gateway)
		}
	}
	for gw := range rt.ancestors {
		if !now.Has(gw) {
			u.send(rt, gw, -1)
		}
	}
	for gw := range now {
		if !rt.ancestors.Has(gw) {
			u.send(rt, gw, 1)
		}
	}
	rt.ancestors = now
}

func (u *round) send(rt *route, gw object.Name, by int) {
	for _, service := range rt.Uses {
		counts := u.senders[service]
		if counts == nil {
			counts = map[object.Name]int{}
			u.senders[service] = counts
		}
		if counts[gw] += by; counts[gw] == 0 {
			delete(counts, gw)
		}
		if len(counts) == 0 {
			delete(u.senders, service)
		}
		for n := range u.policiesOf[service] {
			u.report.Add(n.Ref(object.KindBackendTLSPolicy))
		}
	}
}
