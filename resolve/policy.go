package resolve

import (
	"maps"
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// policy is a BackendTLSPolicy.
type policy struct {
	seniority
	obj     *source.Object
	origin  model.Origin
	spec    *gatewayv1.BackendTLSPolicySpec
	targets []policyTarget
	trusts  []credentialKey // what it refers to

	tls        *model.BackendTLS
	rejected   *finding   // it is not accepted, whatever else there is
	unresolved []*finding // references that lead nowhere
}

// policyTarget is a Service, or one port of it by name.
type policyTarget struct {
	service name
	port    string
}

func (u *round) ingestPolicy(n name, obj *source.Object) {
	if old := u.policies[n]; old != nil {
		if sameSpec(old.obj, obj) {
			return
		}
		u.releasePolicy(old)
		for _, t := range old.targets {
			u.policiesOf.remove(t.service, n)
			u.touchTarget(t.service)
		}
		delete(u.policies, n)
	}
	u.report.add(n.ref(kindBackendTLSPolicy))
	o, ok := typed[*gatewayv1.BackendTLSPolicy](obj)
	if !ok {
		return
	}
	p := &policy{seniority: seniorityOf(o), obj: obj, origin: obj.Origin, spec: &o.Spec}
	p.name = n
	for _, ref := range o.Spec.TargetRefs {
		if ref.Group == "" && ref.Kind == kindService {
			t := policyTarget{name{n.namespace, string(ref.Name)}, string(deref(ref.SectionName, ""))}
			p.targets = append(p.targets, t)
			u.policiesOf.add(t.service, n)
		}
	}
	u.policies[n] = p
	u.policiesTouched.add(n)
}

// touchTarget marks a service whose policies changed, and all of these: which of
// them is followed depends on the others.
func (u *round) touchTarget(service name) {
	u.touch(service)
	for n := range u.policiesOf[service] {
		u.report.add(n.ref(kindBackendTLSPolicy))
	}
}

func (u *round) releasePolicy(p *policy) {
	for _, k := range p.trusts {
		u.trustees.remove(k, p.name)
		u.credentialsTouched.add(k)
	}
	p.trusts = nil
}

// updatePolicies reads the marked policies, and marks the services that they are
// for.
func (u *round) updatePolicies() {
	for n := range u.policiesTouched {
		p := u.policies[n]
		if p == nil {
			continue
		}
		u.releasePolicy(p)
		u.readPolicy(p)
		u.report.add(n.ref(kindBackendTLSPolicy))
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
	known := deref(v.WellKnownCACertificates, "")
	switch {
	case len(v.CACertificateRefs) > 0 && len(p.tls.Bundles) == 0:
		p.rejected = because(string(gatewayv1.BackendTLSPolicyReasonNoValidCACertificate),
			"none of the authorities that would vouch for the backend can be used")
	case len(v.CACertificateRefs) > 0:
	case known == gatewayv1.WellKnownCACertificatesSystem:
		p.tls.System = true
	default:
		p.rejected = because(string(gatewayv1.PolicyReasonInvalid), "wellKnownCACertificates %q is not known: System is", known)
	}
	switch {
	case p.rejected != nil:
		p.tls.Invalid = p.rejected.reason
	case len(p.unresolved) > 0:
		p.tls.Invalid = p.unresolved[0].reason
	}
}

func (u *round) authority(p *policy, ref gatewayv1.LocalObjectReference) (model.ObjectRef, *finding) {
	n := name{p.name.namespace, string(ref.Name)}
	kind := string(ref.Kind)
	if ref.Group != "" || kind != kindConfigMap && kind != kindSecret {
		return model.ObjectRef{}, because(string(gatewayv1.BackendTLSPolicyReasonInvalidKind),
			"%s %s is not supported: ConfigMaps and Secrets are", groupKind(kind, string(ref.Group)), n)
	}
	k := credentialKey{ref: n.ref(kind), bundle: true}
	u.trustees.add(k, p.name)
	p.trusts = append(p.trusts, k)
	if c := u.credential(k); c.wrong != "" {
		return model.ObjectRef{}, because(string(gatewayv1.BackendTLSPolicyReasonInvalidCACertificateRef), "%s", describeCredential(k.ref, c))
	}
	return k.ref, nil
}

// winner returns the policy for a target: the oldest.
func (r *Resolver) winner(t policyTarget) *policy {
	var first *policy
	for n := range r.policiesOf[t.service] {
		p := r.policies[n]
		if slices.Contains(p.targets, t) && (first == nil || p.compare(first.seniority) < 0) {
			first = p
		}
	}
	return first
}

// encryption returns how gateways speak to a service's port: as the policy for the
// port says, else as the one for the whole service; nil for in the clear.
func (r *Resolver) encryption(service name, p servicePort) *model.BackendTLS {
	if len(r.policiesOf[service]) == 0 || p.protocol != model.TCP {
		return nil
	}
	won := r.winner(policyTarget{service, p.name})
	if won == nil || p.name == "" {
		won = r.winner(policyTarget{service, ""})
	}
	if won == nil {
		return nil
	}
	return won.tls
}

// policyStatus is what a policy is to each gateway that sends to its targets.
func (r *Resolver) policyStatus(n name) *model.Status {
	p := r.policies[n]
	if p == nil {
		return nil
	}
	st := &model.Status{Origin: p.origin}
	conditions := []model.Condition{r.policyAccepted(p), policyResolved(p)}
	gateways := set[name]{}
	for _, t := range p.targets {
		for gw := range r.senders[t.service] {
			gateways.add(gw)
		}
	}
	// The Gateway API's bound.
	const most = 16
	for _, gw := range slices.SortedFunc(maps.Keys(gateways), name.compare) {
		if len(st.Parents) < most {
			st.Parents = append(st.Parents, model.ParentStatus{Parent: gw.ref(kindGateway), Conditions: conditions})
		}
	}
	if len(st.Parents) == 0 {
		st.Conditions = conditions
	}
	return st
}

func (r *Resolver) policyAccepted(p *policy) model.Condition {
	if p.rejected != nil {
		return p.rejected.condition(conditionAccepted, false)
	}
	if len(p.targets) == 0 {
		return because(string(gatewayv1.PolicyReasonInvalid), "targetRefs name no Service").condition(conditionAccepted, false)
	}
	var lost []*finding
	for _, t := range p.targets {
		if won := r.winner(t); won != p {
			lost = append(lost, because(string(gatewayv1.PolicyReasonConflicted),
				"%s is for the same Service %s, and came first", objectAt(won.origin), t.service))
		}
	}
	if len(lost) > 0 {
		return merge("", lost).condition(conditionAccepted, false)
	}
	return because(string(gatewayv1.PolicyReasonAccepted), "gateways speak TLS to the targets").condition(conditionAccepted, true)
}

func policyResolved(p *policy) model.Condition {
	if len(p.unresolved) > 0 {
		return merge("", p.unresolved).condition(conditionResolvedRefs, false)
	}
	return because(reasonResolvedRefs, "all references are resolved").condition(conditionResolvedRefs, true)
}

// touchAncestors counts the gateways that send to services for a route, and marks
// the policies for which that is news.
func (u *round) touchAncestors(rt *route) {
	now := set[name]{}
	for k := range rt.domains {
		if l, lost := u.losers[k][rt]; lost && !l.older {
			continue
		}
		if l := u.listenerAt[k]; l != nil {
			now.add(l.gateway)
		}
	}
	for gw := range rt.ancestors {
		if !now.has(gw) {
			u.send(rt, gw, -1)
		}
	}
	for gw := range now {
		if !rt.ancestors.has(gw) {
			u.send(rt, gw, 1)
		}
	}
	rt.ancestors = now
}

func (u *round) send(rt *route, gw name, by int) {
	for _, service := range rt.uses {
		counts := u.senders[service]
		if counts == nil {
			counts = map[name]int{}
			u.senders[service] = counts
		}
		if counts[gw] += by; counts[gw] == 0 {
			delete(counts, gw)
		}
		if len(counts) == 0 {
			delete(u.senders, service)
		}
		for n := range u.policiesOf[service] {
			u.report.add(n.ref(kindBackendTLSPolicy))
		}
	}
}
