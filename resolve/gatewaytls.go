package resolve

import (
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
)

// resolveTLS resolves the certificates of a gateway's listeners, of the clients
// that they ask for, and of the gateway itself towards backends.
func (u *round) resolveTLS(f *frame) {
	g := f.gateway
	var front *gatewayv1.FrontendTLSConfig
	if g.spec.TLS != nil {
		front = g.spec.TLS.Frontend
		if b := g.spec.TLS.Backend; b != nil && b.ClientCertificateRef != nil {
			f.identity, f.unresolved = u.keyPair(g.ref, g.name, *b.ClientCertificateRef, string(gatewayv1.GatewayReasonInvalidClientCertificateRef))
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
	if parent.Kind == kindGateway {
		for _, l := range r.gateways[nameOf(parent)].spec.Listeners {
			if _, twice := out[string(l.Name)]; !twice {
				out[string(l.Name)] = l.TLS
			}
		}
		return out
	}
	for _, l := range r.listenerSets[nameOf(parent)].spec.Listeners {
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
		mode, refs = deref(in.Mode, mode), in.CertificateRefs
	}
	l.tls = &model.TLS{}
	switch {
	case mode == gatewayv1.TLSModePassthrough && l.protocol == gatewayv1.TLSProtocolType:
		l.tls.Passthrough = true
		return
	case mode != gatewayv1.TLSModeTerminate:
		l.refuse(unsupported("TLS mode %s does not go with protocol %s", mode, l.protocol))
		return
	case len(refs) == 0:
		l.unresolve(string(gatewayv1.ListenerReasonInvalidCertificateRef), "tls.certificateRefs is empty: there is no certificate to show")
	}
	for _, ref := range refs {
		pair, wrong := u.keyPair(l.parent, g.name, ref, string(gatewayv1.ListenerReasonInvalidCertificateRef))
		if wrong != nil {
			l.unresolved = append(l.unresolved, wrong)
			continue
		}
		l.tls.Certificates = append(l.tls.Certificates, pair)
	}
	l.useless = l.useless || len(l.tls.Certificates) == 0
}

// keyPair resolves a reference to a certificate with its key.
func (u *round) keyPair(from model.ObjectRef, gw name, ref gatewayv1.SecretObjectReference, invalid string) (model.ObjectRef, *finding) {
	n := name{string(deref(ref.Namespace, gatewayv1.Namespace(from.Namespace))), string(ref.Name)}
	kind, group := string(deref(ref.Kind, kindSecret)), string(deref(ref.Group, ""))
	if group != "" || kind != kindSecret {
		return model.ObjectRef{}, because(invalid, "%s %s is not supported: only Secrets are", groupKind(kind, group), n)
	}
	c, wrong := u.certify(from, gw, credentialKey{ref: n.ref(kindSecret)})
	switch {
	case wrong != nil:
		return model.ObjectRef{}, wrong
	case c.wrong != "":
		return model.ObjectRef{}, because(invalid, "%s", describeCredential(n.ref(kindSecret), c))
	}
	return n.ref(kindSecret), nil
}

// certify returns what a gateway's reference leads to, when it may be followed,
// and remembers that the gateway depends on it.
func (u *round) certify(from model.ObjectRef, gw name, k credentialKey) (*credentials, *finding) {
	to := nameOf(k.ref)
	if from.Namespace != to.namespace {
		c := crossing{from.Kind, from.Namespace, to.namespace}
		u.crossGateways.add(c, gw)
		u.crossedBy.add(gw, c)
	}
	if !u.granted(from, k.ref.Kind, to) {
		return nil, because(reasonRefNotPermitted,
			"no ReferenceGrant in namespace %s lets a %s of namespace %s refer to %s", to.namespace, from.Kind, from.Namespace, k.ref)
	}
	u.certified.add(k, gw)
	u.certifies.add(gw, k)
	return u.credential(k), nil
}

// releaseGateway forgets what a gateway depends on.
func (u *round) releaseGateway(gw name) {
	for k := range u.certifies[gw] {
		u.certified.remove(k, gw)
		u.credentialsTouched.add(k)
	}
	delete(u.certifies, gw)
	for c := range u.crossedBy[gw] {
		u.crossGateways.remove(c, gw)
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
		l.refuse(because(string(gatewayv1.ListenerReasonNoValidCACertificate), "none of the authorities that would vouch for clients can be used"))
	}
	l.tls.Client = client
}

func (u *round) clientBundle(g *gateway, ref gatewayv1.ObjectReference) (model.ObjectRef, *finding) {
	n := name{string(deref(ref.Namespace, gatewayv1.Namespace(g.name.namespace))), string(ref.Name)}
	kind := string(ref.Kind)
	if ref.Group != "" || kind != kindConfigMap && kind != kindSecret {
		return model.ObjectRef{}, because(string(gatewayv1.ListenerReasonInvalidCACertificateKind),
			"%s %s is not supported: ConfigMaps and Secrets are", groupKind(kind, string(ref.Group)), n)
	}
	c, wrong := u.certify(g.ref, g.name, credentialKey{ref: n.ref(kind), bundle: true})
	switch {
	case wrong != nil:
		return model.ObjectRef{}, wrong
	case c.wrong != "":
		return model.ObjectRef{}, because(string(gatewayv1.ListenerReasonInvalidCACertificateRef), "%s", describeCredential(n.ref(kind), c))
	}
	return n.ref(kind), nil
}
