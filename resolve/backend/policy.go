package backend

import (
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/source"
)

// TLSPolicy is a BackendTLSPolicy as it was given.
type TLSPolicy struct {
	object.Seniority
	Object  *source.Object
	Targets []Target

	validation *gatewayv1.BackendTLSPolicyValidation
}

// Target is a Service, or one port of it by name.
type Target struct {
	Service object.Name
	Port    string
}

// Encryption is what a BackendTLSPolicy comes to.
type Encryption struct {
	TLS        *model.BackendTLS
	Rejected   *finding.Finding   // it is not accepted, whatever else there is
	Unresolved []*finding.Finding // references that lead nowhere
}

// Lookup follows a reference to a Secret or ConfigMap with authorities. When that
// cannot be used it says why, with invalid for the reason.
type Lookup func(bundle model.ObjectRef, invalid string) *finding.Finding

// ReadPolicy reads a BackendTLSPolicy.
func ReadPolicy(n object.Name, o *gatewayv1.BackendTLSPolicy, obj *source.Object) *TLSPolicy {
	p := &TLSPolicy{Seniority: object.SeniorityOf(o), Object: obj, validation: &o.Spec.Validation}
	p.Name = n
	for _, ref := range o.Spec.TargetRefs {
		if ref.Group == "" && ref.Kind == object.KindService {
			service := object.Name{Namespace: n.Namespace, Name: string(ref.Name)}
			p.Targets = append(p.Targets, Target{service, string(ptr.Deref(ref.SectionName, ""))})
		}
	}
	return p
}

// Resolve reads what the policy asks for, and follows what it refers to.
func (p *TLSPolicy) Resolve(follow Lookup) Encryption {
	v := p.validation
	e := Encryption{TLS: &model.BackendTLS{ServerName: string(v.Hostname), Origin: p.Object.Origin}}
	for _, s := range v.SubjectAltNames {
		if s.Type == gatewayv1.URISubjectAltNameType {
			e.TLS.Names = append(e.TLS.Names, model.SubjectName{URI: true, Value: string(s.URI)})
		} else {
			e.TLS.Names = append(e.TLS.Names, model.SubjectName{Value: string(s.Hostname)})
		}
	}
	for _, ref := range v.CACertificateRefs {
		if b, wrong := p.authority(ref, follow); wrong != nil {
			e.Unresolved = append(e.Unresolved, wrong)
		} else {
			e.TLS.Bundles = append(e.TLS.Bundles, b)
		}
	}
	known := ptr.Deref(v.WellKnownCACertificates, "")
	switch {
	case len(v.CACertificateRefs) > 0 && len(e.TLS.Bundles) == 0:
		e.Rejected = finding.New(string(gatewayv1.BackendTLSPolicyReasonNoValidCACertificate),
			"none of the authorities that would vouch for the backend can be used")
	case len(v.CACertificateRefs) > 0:
	case known == gatewayv1.WellKnownCACertificatesSystem:
		e.TLS.System = true
	default:
		e.Rejected = finding.New(string(gatewayv1.PolicyReasonInvalid), "wellKnownCACertificates %q is not known: System is", known)
	}
	switch {
	case e.Rejected != nil:
		e.TLS.Invalid = e.Rejected.Reason
	case len(e.Unresolved) > 0:
		e.TLS.Invalid = e.Unresolved[0].Reason
	}
	return e
}

func (p *TLSPolicy) authority(ref gatewayv1.LocalObjectReference, follow Lookup) (model.ObjectRef, *finding.Finding) {
	n := object.Name{Namespace: p.Name.Namespace, Name: string(ref.Name)}
	kind := string(ref.Kind)
	if ref.Group != "" || kind != object.KindConfigMap && kind != object.KindSecret {
		return model.ObjectRef{}, finding.New(string(gatewayv1.BackendTLSPolicyReasonInvalidKind),
			"%s %s is not supported: ConfigMaps and Secrets are", object.GroupKind(kind, string(ref.Group)), n)
	}
	bundle := n.Ref(kind)
	return bundle, follow(bundle, string(gatewayv1.BackendTLSPolicyReasonInvalidCACertificateRef))
}
