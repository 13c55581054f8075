package resolve

import (
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/object"
)

// resolveTLS resolves the certificates of a gateway's listeners, of the clients
// that they ask for, and of the gateway itself towards backends.
func (u *round) resolveTLS(f *frame) {
	g := f.gateway
	var front *gatewayv1.FrontendTLSConfig
	if g.spec.TLS != nil {
		front = g.spec.TLS.Frontend
		if b := g.spec.TLS.Backend; b != nil && b.ClientCertificateRef != nil {
			f.identity, f.unresolved = u.keyPair(g.ref, g.Name, *b.ClientCertificateRef, string(gatewayv1.GatewayReasonInvalidClientCertificateRef))
		}
	}
	f.insecure = fallsBack(front)
	for _, p := range f.parents {
		specs := u.listenerTLS(p.ref)
		for _, l := range p.listeners {
			if l.secure() && l.refused == nil {
				u.terminate(g, l, specs[l.name])
			}
			if l.protocol == gatewayv1.HTTPSProtocolType && l.refused == nil {
				u.askClients(g, l, front)
			}
		}
	}
}

// listenerTLS are the TLS settings of a parent's listeners.
func (r *Resolver) listenerTLS(parent model.ObjectRef) map[string]*gatewayv1.ListenerTLSConfig {
	out := map[string]*gatewayv1.ListenerTLSConfig{}
	if parent.Kind == object.KindGateway {
		for _, l := range r.gateways[object.NameOf(parent)].spec.Listeners {
			if _, twice := out[string(l.Name)]; !twice {
				out[string(l.Name)] = l.TLS
			}
		}
		return out
	}
	for _, l := range r.listenerSets[object.NameOf(parent)].spec.Listeners {
		if _, twice := out[string(l.Name)]; !twice {
			out[string(l.Name)] = l.TLS
		}
	}
	return out
}

// terminate settles how a listener treats TLS.
func (u *round) terminate(g *gateway, l *listener, in *gatewayv1.ListenerTLSConfig) {
	mode := gatewayv1.TLSModeTerminate
	var refs []gatewayv1.SecretObjectReference
	if in != nil {
		mode, refs = ptr.Deref(in.Mode, mode), in.CertificateRefs
	}
	l.tls = &model.TLS{}
	switch {
	case mode == gatewayv1.TLSModePassthrough && l.protocol == gatewayv1.TLSProtocolType:
		l.tls.Passthrough = true
		return
	case mode != gatewayv1.TLSModeTerminate:
		l.refuse(finding.Unsupported("TLS mode %s does not go with protocol %s", mode, l.protocol))
		return
	case len(refs) == 0:
		l.unresolve(string(gatewayv1.ListenerReasonInvalidCertificateRef), "tls.certificateRefs is empty: there is no certificate to show")
	}
	for _, ref := range refs {
		pair, wrong := u.keyPair(l.parent, g.Name, ref, string(gatewayv1.ListenerReasonInvalidCertificateRef))
		if wrong != nil {
			l.unresolved = append(l.unresolved, wrong)
			continue
		}
		l.tls.Certificates = append(l.tls.Certificates, pair)
	}
	l.useless = l.useless || len(l.tls.Certificates) == 0
}

// keyPair resolves a reference to a certificate with its key.
func (u *round) keyPair(from model.ObjectRef, gw object.Name, ref gatewayv1.SecretObjectReference, invalid string) (model.ObjectRef, *finding.Finding) {
	n := object.Referred(from.Namespace, ref.Namespace, ref.Name)
	kind, group := string(ptr.Deref(ref.Kind, object.KindSecret)), string(ptr.Deref(ref.Group, ""))
	if group != "" || kind != object.KindSecret {
		return model.ObjectRef{}, finding.New(invalid, "%s %s is not supported: only Secrets are", groupKind(kind, group), n)
	}
	c, wrong := u.certify(from, gw, credentialKey{ref: n.Ref(object.KindSecret)})
	switch {
	case wrong != nil:
		return model.ObjectRef{}, wrong
	case c.wrong != "":
		return model.ObjectRef{}, finding.New(invalid, "%s", describeCredential(n.Ref(object.KindSecret), c))
	}
	return n.Ref(object.KindSecret), nil
}

// certify returns what a gateway's reference leads to, when it may be followed,
// and remembers that the gateway depends on it.
func (u *round) certify(from model.ObjectRef, gw object.Name, k credentialKey) (*credentials, *finding.Finding) {
	to := object.NameOf(k.ref)
	if from.Namespace != to.Namespace {
		c := crossing{from.Kind, from.Namespace, to.Namespace}
		u.crossGateways.Add(c, gw)
		u.crossedBy.Add(gw, c)
	}
	if !u.granted(from, k.ref.Kind, to) {
		return nil, finding.New(finding.RefNotPermitted,
			"no ReferenceGrant in namespace %s lets a %s of namespace %s refer to %s", to.Namespace, from.Kind, from.Namespace, k.ref)
	}
	u.certified.Add(k, gw)
	u.certifies.Add(gw, k)
	return u.credential(k), nil
}

// releaseGateway forgets what a gateway depends on.
func (u *round) releaseGateway(gw object.Name) {
	for k := range u.certifies[gw] {
		u.certified.Remove(k, gw)
		u.credentialsTouched.Add(k)
	}
	delete(u.certifies, gw)
	for c := range u.crossedBy[gw] {
		u.crossGateways.Remove(c, gw)
	}
	delete(u.crossedBy, gw)
}

func groupKind(kind, group string) string {
	if group == "" {
		return kind
	}
	return kind + "." + group
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
func (u *round) askClients(g *gateway, l *listener, front *gatewayv1.FrontendTLSConfig) {
	v := validationOf(front, l.port)
	if v == nil {
		return
	}
	client := &model.ClientValidation{Optional: v.Mode == gatewayv1.AllowInsecureFallback}
	for _, ref := range v.CACertificateRefs {
		bundle, wrong := u.clientBundle(g, ref)
		if wrong != nil {
			l.unresolved = append(l.unresolved, wrong)
			continue
		}
		client.Bundles = append(client.Bundles, bundle)
	}
	if len(client.Bundles) == 0 {
		l.refuse(finding.New(string(gatewayv1.ListenerReasonNoValidCACertificate), "none of the authorities that would vouch for clients can be used"))
	}
	l.tls.Client = client
}

func (u *round) clientBundle(g *gateway, ref gatewayv1.ObjectReference) (model.ObjectRef, *finding.Finding) {
	n := object.Referred(g.Name.Namespace, ref.Namespace, ref.Name)
	kind := string(ref.Kind)
	if ref.Group != "" || kind != object.KindConfigMap && kind != object.KindSecret {
		return model.ObjectRef{}, finding.New(string(gatewayv1.ListenerReasonInvalidCACertificateKind),
			"%s %s is not supported: ConfigMaps and Secrets are", groupKind(kind, string(ref.Group)), n)
	}
	c, wrong := u.certify(g.ref, g.Name, credentialKey{ref: n.Ref(kind), bundle: true})
	switch {
	case wrong != nil:
		return model.ObjectRef{}, wrong
	case c.wrong != "":
		return model.ObjectRef{}, finding.New(string(gatewayv1.ListenerReasonInvalidCACertificateRef), "%s", describeCredential(n.Ref(kind), c))
	}
	return n.Ref(kind), nil
}
