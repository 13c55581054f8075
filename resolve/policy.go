package resolve

import (
	"maps"
	"slices"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/backend"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/index"
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/resolve/reference"
	"sluice.io/sluice/source"
)

// policy is a BackendTLSPolicy.
type policy struct {
	object.Seniority
	obj     *source.Object
	origin  model.Origin
	spec    *gatewayv1.BackendTLSPolicySpec
	targets []policyTarget

	tls        *model.BackendTLS
	rejected   *finding.Finding   // it is not accepted, whatever else there is
	unresolved []*finding.Finding // references that lead nowhere
}

// policyTarget is a Service, or one port of it by name.
type policyTarget struct {
	service object.Name
	port    string
}

func (u *round) ingestPolicy(n object.Name, obj *source.Object) {
	if old := u.policies[n]; old != nil {
		if object.SameSpec(old.obj, obj) {
			return
		}
		u.credentials.Release(n.Ref(object.KindBackendTLSPolicy))
		for _, t := range old.targets {
			u.policiesOf.Remove(t.service, n)
			u.touchTarget(t.service)
		}
		delete(u.policies, n)
	}
	u.report.Add(n.Ref(object.KindBackendTLSPolicy))
	o, ok := object.As[*gatewayv1.BackendTLSPolicy](obj)
	if !ok {
		return
	}
	p := &policy{Seniority: object.SeniorityOf(o), obj: obj, origin: obj.Origin, spec: &o.Spec}
	p.Name = n
	for _, ref := range o.Spec.TargetRefs {
		if ref.Group == "" && ref.Kind == object.KindService {
			t := policyTarget{object.Name{Namespace: n.Namespace, Name: string(ref.Name)}, string(ptr.Deref(ref.SectionName, ""))}
			p.targets = append(p.targets, t)
			u.policiesOf.Add(t.service, n)
		}
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
		u.credentials.Release(n.Ref(object.KindBackendTLSPolicy))
		u.readPolicy(p)
		u.report.Add(n.Ref(object.KindBackendTLSPolicy))
		for _, t := range p.targets {
			u.touchTarget(t.service)
		}
	}
}

func (u *round) readPolicy(p *policy) {
	v := &p.spec.Validation
	p.tls = &model.BackendTLS{ServerName: string(v.Hostname), Origin: p.origin}
	p.rejected, p.unresolved = nil, nil
	for _, s := range v.SubjectAltNames {
		if s.Type == gatewayv1.URISubjectAltNameType {
			p.tls.Names = append(p.tls.Names, model.SubjectName{URI: true, Value: string(s.URI)})
		} else {
			p.tls.Names = append(p.tls.Names, model.SubjectName{Value: string(s.Hostname)})
		}
	}
	for _, ref := range v.CACertificateRefs {
		if b, wrong := u.authority(p, ref); wrong != nil {
			p.unresolved = append(p.unresolved, wrong)
		} else {
			p.tls.Bundles = append(p.tls.Bundles, b)
		}
	}
	known := ptr.Deref(v.WellKnownCACertificates, "")
	switch {
	case len(v.CACertificateRefs) > 0 && len(p.tls.Bundles) == 0:
		p.rejected = finding.New(string(gatewayv1.BackendTLSPolicyReasonNoValidCACertificate),
			"none of the authorities that would vouch for the backend can be used")
	case len(v.CACertificateRefs) > 0:
	case known == gatewayv1.WellKnownCACertificatesSystem:
		p.tls.System = true
	default:
		p.rejected = finding.New(string(gatewayv1.PolicyReasonInvalid), "wellKnownCACertificates %q is not known: System is", known)
	}
	switch {
	case p.rejected != nil:
		p.tls.Invalid = p.rejected.Reason
	case len(p.unresolved) > 0:
		p.tls.Invalid = p.unresolved[0].Reason
	}
}

func (u *round) authority(p *policy, ref gatewayv1.LocalObjectReference) (model.ObjectRef, *finding.Finding) {
	n := object.Name{Namespace: p.Name.Namespace, Name: string(ref.Name)}
	kind := string(ref.Kind)
	if ref.Group != "" || kind != object.KindConfigMap && kind != object.KindSecret {
		return model.ObjectRef{}, finding.New(string(gatewayv1.BackendTLSPolicyReasonInvalidKind),
			"%s %s is not supported: ConfigMaps and Secrets are", object.GroupKind(kind, string(ref.Group)), n)
	}
	bundle := n.Ref(kind)
	if wrong := u.credentials.Use(p.Name.Ref(object.KindBackendTLSPolicy), reference.Key{Ref: bundle, Bundle: true}); wrong != "" {
		return model.ObjectRef{}, finding.New(string(gatewayv1.BackendTLSPolicyReasonInvalidCACertificateRef), "%s", wrong)
	}
	return bundle, nil
}

// winner returns the policy for a target: the oldest.
func (r *Resolver) winner(t policyTarget) *policy {
	var first *policy
	for n := range r.policiesOf[t.service] {
		p := r.policies[n]
		if slices.Contains(p.targets, t) && (first == nil || p.Compare(first.Seniority) < 0) {
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
	won := r.winner(policyTarget{service, p.Name})
	if won == nil || p.Name == "" {
		won = r.winner(policyTarget{service, ""})
	}
	if won == nil {
		return nil
	}
	return won.tls
}

// policyStatus is what a policy is to each gateway that sends to its targets.
func (r *Resolver) policyStatus(n object.Name) *model.Status {
	p := r.policies[n]
	if p == nil {
		return nil
	}
	st := &model.Status{Origin: p.origin}
	conditions := []model.Condition{r.policyAccepted(p), policyResolved(p)}
	gateways := index.Set[object.Name]{}
	for _, t := range p.targets {
		for gw := range r.senders[t.service] {
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
	if p.rejected != nil {
		return p.rejected.Condition(conditionAccepted, false)
	}
	if len(p.targets) == 0 {
		return finding.New(string(gatewayv1.PolicyReasonInvalid), "targetRefs name no Service").Condition(conditionAccepted, false)
	}
	var lost []*finding.Finding
	for _, t := range p.targets {
		if won := r.winner(t); won != p {
			lost = append(lost, finding.New(string(gatewayv1.PolicyReasonConflicted),
				"%s is for the same Service %s, and came first", finding.ObjectAt(won.origin), t.service))
		}
	}
	if len(lost) > 0 {
		return finding.Merge("", lost).Condition(conditionAccepted, false)
	}
	return finding.New(string(gatewayv1.PolicyReasonAccepted), "gateways speak TLS to the targets").Condition(conditionAccepted, true)
}

func policyResolved(p *policy) model.Condition {
	if len(p.unresolved) > 0 {
		return finding.Merge("", p.unresolved).Condition(conditionResolvedRefs, false)
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
