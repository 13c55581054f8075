package gateway

import (
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/object"
)

// resolveTLS resolves the certificates of a gateway's listeners, of the clients
// that they ask for, and of the gateway itself towards backends.
func (f *Frame) resolveTLS(follow Lookup) {
	g := f.Gateway
	var front *gatewayv1.FrontendTLSConfig
	if g.Spec.TLS != nil {
		front = g.Spec.TLS.Frontend
		if b := g.Spec.TLS.Backend; b != nil && b.ClientCertificateRef != nil {
			identity, wrong := follow.keyPair(g.Ref, *b.ClientCertificateRef, string(gatewayv1.GatewayReasonInvalidClientCertificateRef))
			if f.Unresolved = wrong; wrong == nil {
				f.Identity = identity
			}
		}
	}
	f.Insecure = fallsBack(front)
	for _, l := range f.Listeners {
		if l.Secure() && l.Refused == nil {
			l.terminate(follow)
		}
		if l.Protocol == gatewayv1.HTTPSProtocolType && l.Refused == nil {
			l.askClients(g, front, follow)
		}
	}
}

// terminate settles how a listener treats TLS.
func (l *Listener) terminate(follow Lookup) {
	mode := gatewayv1.TLSModeTerminate
	var refs []gatewayv1.SecretObjectReference
	if in := l.settings; in != nil {
		mode, refs = ptr.Deref(in.Mode, mode), in.CertificateRefs
	}
	l.TLS = &model.TLS{}
	switch {
	case mode == gatewayv1.TLSModePassthrough && l.Protocol == gatewayv1.TLSProtocolType:
		l.TLS.Passthrough = true
		return
	case mode != gatewayv1.TLSModeTerminate:
		l.refuse(finding.Unsupported("TLS mode %s does not go with protocol %s", mode, l.Protocol))
		return
	case len(refs) == 0:
		l.unresolve(string(gatewayv1.ListenerReasonInvalidCertificateRef), "tls.certificateRefs is empty: there is no certificate to show")
	}
	for _, ref := range refs {
		pair, wrong := follow.keyPair(l.Parent, ref, string(gatewayv1.ListenerReasonInvalidCertificateRef))
		if wrong != nil {
			l.Unresolved = append(l.Unresolved, wrong)
			continue
		}
		l.TLS.Certificates = append(l.TLS.Certificates, pair)
	}
	l.Useless = l.Useless || len(l.TLS.Certificates) == 0
}

// Lookup follows a reference from a Gateway, or a ListenerSet of it, to a
// Secret or ConfigMap: to a bundle of authorities, or to a certificate with its
// key. When that cannot be used it says why, with invalid for the reason unless
// there is a better one.
type Lookup func(from, to model.ObjectRef, bundle bool, invalid string) *finding.Finding

// keyPair resolves a reference to a certificate with its key.
func (follow Lookup) keyPair(from model.ObjectRef, ref gatewayv1.SecretObjectReference, invalid string) (model.ObjectRef, *finding.Finding) {
	n := object.Referred(from.Namespace, ref.Namespace, ref.Name)
	kind, group := string(ptr.Deref(ref.Kind, object.KindSecret)), string(ptr.Deref(ref.Group, ""))
	if group != "" || kind != object.KindSecret {
		return model.ObjectRef{}, finding.New(invalid, "%s %s is not supported: only Secrets are", object.GroupKind(kind, group), n)
	}
	to := n.Ref(object.KindSecret)
	return to, follow(from, to, false, invalid)
}

// bundle resolves a reference to authorities that vouch for clients.
func (follow Lookup) bundle(g *Gateway, ref gatewayv1.ObjectReference) (model.ObjectRef, *finding.Finding) {
	n := object.Referred(g.Name.Namespace, ref.Namespace, ref.Name)
	kind := string(ref.Kind)
	if ref.Group != "" || kind != object.KindConfigMap && kind != object.KindSecret {
		return model.ObjectRef{}, finding.New(string(gatewayv1.ListenerReasonInvalidCACertificateKind),
			"%s %s is not supported: ConfigMaps and Secrets are", object.GroupKind(kind, string(ref.Group)), n)
	}
	to := n.Ref(kind)
	return to, follow(g.Ref, to, true, string(gatewayv1.ListenerReasonInvalidCACertificateRef))
}

// validationOf returns the client validation of a port.
func validationOf(front *gatewayv1.FrontendTLSConfig, port uint16) *gatewayv1.FrontendTLSValidation {
	if front == nil {
		return nil
	}
	for _, p := range front.PerPort {
		if uint16(p.Port) == port {
			return p.TLS.Validation
		}
	}
	return front.Default.Validation
}

// fallsBack reports whether a gateway lets clients in whose certificates are
// not valid, on any port.
func fallsBack(front *gatewayv1.FrontendTLSConfig) bool {
	if front == nil {
		return false
	}
	insecure := func(v *gatewayv1.FrontendTLSValidation) bool {
		return v != nil && v.Mode == gatewayv1.AllowInsecureFallback
	}
	for _, p := range front.PerPort {
		if insecure(p.TLS.Validation) {
			return true
		}
	}
	return insecure(front.Default.Validation)
}

// askClients settles which clients an HTTPS listener lets in. The references
// are the Gateway's, also for listeners of ListenerSets.
func (l *Listener) askClients(g *Gateway, front *gatewayv1.FrontendTLSConfig, follow Lookup) {
	v := validationOf(front, l.Port)
	if v == nil {
		return
	}
	client := &model.ClientValidation{Optional: v.Mode == gatewayv1.AllowInsecureFallback}
	for _, ref := range v.CACertificateRefs {
		bundle, wrong := follow.bundle(g, ref)
		if wrong != nil {
			l.Unresolved = append(l.Unresolved, wrong)
			continue
		}
		client.Bundles = append(client.Bundles, bundle)
	}
	if len(client.Bundles) == 0 {
		l.refuse(finding.New(string(gatewayv1.ListenerReasonNoValidCACertificate), "none of the authorities that would vouch for clients can be used"))
	}
	l.TLS.Client = client
}
