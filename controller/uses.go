package controller

import (
	"fmt"
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
)

// uses are the Secrets and ConfigMaps that listeners, by their names, serve with.
type uses map[string][]model.ObjectRef

// usesOf are those of a Gateway's own listeners, or of a ListenerSet's: certificates, and
// the authorities of clients. What may not be used is none of them.
func (t *term) usesOf(k model.GatewayKey, ref model.ObjectRef) uses {
	all := uses{}
	add := func(name gatewayv1.SectionName, port gatewayv1.PortNumber, tls *gatewayv1.ListenerTLSConfig) {
		for _, o := range documentsOf(t.gateways[k], ref.Namespace, port, tls) {
			used := t.mesh.KeyPairs[o] != nil || t.mesh.Bundles[o] != nil
			if used && !slices.Contains(all[string(name)], o) {
				all[string(name)] = append(all[string(name)], o)
			}
		}
	}
	if ref.Kind == kindListenerSet {
		for _, l := range t.listenerSets[ref].Spec.Listeners {
			add(l.Name, l.Port, l.TLS)
		}
		return all
	}
	for _, l := range t.gateways[k].Spec.Listeners {
		add(l.Name, l.Port, l.TLS)
	}
	return all
}

// documentsOf are those that a listener names, and the Gateway for its port.
func documentsOf(g *gatewayv1.Gateway, namespace string, port gatewayv1.PortNumber, tls *gatewayv1.ListenerTLSConfig) []model.ObjectRef {
	if tls == nil || len(tls.CertificateRefs) == 0 {
		return nil
	}
	var all []model.ObjectRef
	for _, r := range tls.CertificateRefs {
		all = append(all, documentRef(kindSecret, namespace, r.Namespace, r.Name))
	}
	if g.Spec.TLS == nil || g.Spec.TLS.Frontend == nil {
		return all
	}
	validation := g.Spec.TLS.Frontend.Default.Validation
	for _, p := range g.Spec.TLS.Frontend.PerPort {
		if p.Port == port {
			validation = p.TLS.Validation
		}
	}
	if validation != nil {
		for _, r := range validation.CACertificateRefs {
			all = append(all, documentRef(string(r.Kind), g.Namespace, r.Namespace, r.Name))
		}
	}
	return all
}

func documentRef(kind, from string, namespace *gatewayv1.Namespace, name gatewayv1.ObjectName) model.ObjectRef {
	if namespace != nil {
		from = string(*namespace)
	}
	return model.ObjectRef{Kind: kind, Namespace: from, Name: string(name)}
}

// lacking are the listeners for which agents have no copy of what they serve with, and
// why. The Gateway is looked at again when there is one.
func (t *term) lacking(k model.GatewayKey, all uses) map[string]string {
	var lacks map[string]string
	for name, originals := range all {
		for _, o := range originals {
			if t.copies.there[t.copies.name(o)] == o {
				continue
			}
			if lacks == nil {
				lacks = map[string]string{}
			}
			lacks[name] = fmt.Sprintf("the copy of %s for agents is not there yet", o)
			t.waits.add(o, k)
			t.copies.due(o) // whom to tell of trouble with it may have changed
		}
	}
	return lacks
}

// copiesOf are the copies of what listeners serve with.
func (t *term) copiesOf(all uses) map[string][]model.ObjectRef {
	var of map[string][]model.ObjectRef
	for name, originals := range all {
		if of == nil {
			of = map[string][]model.ObjectRef{}
		}
		for _, o := range originals {
			of[name] = append(of[name], t.copies.name(o))
		}
	}
	return of
}

// users are the Gateways and ListenerSets of each document that listeners serve with.
func (t *term) users() map[model.ObjectRef][]model.ObjectRef {
	all := map[model.ObjectRef][]model.ObjectRef{}
	for k := range t.fronts {
		for _, who := range t.told(k) {
			for _, originals := range t.usesOf(k, who) {
				for _, o := range originals {
					if !slices.Contains(all[o], who) {
						all[o] = append(all[o], who)
					}
				}
			}
		}
	}
	return all
}

// told are those whose statuses tell of a Gateway's objects: its own, and those of its
// ListenerSets.
func (t *term) told(k model.GatewayKey) []model.ObjectRef {
	all := []model.ObjectRef{gatewayRef(k)}
	for set := range t.setsOf[k] {
		all = append(all, set)
	}
	slices.SortFunc(all[1:], model.CompareRefs)
	return all
}
