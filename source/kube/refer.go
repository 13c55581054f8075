package kube

import (
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// referred lists the Secrets and ConfigMaps that an object names, permitted or
// not.
func referred(obj source.KubeObject) []model.ObjectRef {
	f := &finder{namespace: obj.GetNamespace(), seen: map[model.ObjectRef]bool{}}
	switch o := obj.(type) {
	case *gatewayv1.Gateway:
		for i := range o.Spec.Listeners {
			f.listener(o.Spec.Listeners[i].TLS)
		}
		f.gateway(o.Spec.TLS)
	case *gatewayv1.ListenerSet:
		for i := range o.Spec.Listeners {
			f.listener(o.Spec.Listeners[i].TLS)
		}
	case *gatewayv1.BackendTLSPolicy:
		for _, r := range o.Spec.Validation.CACertificateRefs {
			f.add(&r.Group, &r.Kind, r.Name, nil)
		}
	}
	return f.found
}

// finder gathers references from one namespace.
type finder struct {
	namespace string
	found     []model.ObjectRef
	seen      map[model.ObjectRef]bool
}

func (f *finder) listener(tls *gatewayv1.ListenerTLSConfig) {
	if tls == nil {
		return
	}
	for _, r := range tls.CertificateRefs {
		f.add(r.Group, r.Kind, r.Name, r.Namespace)
	}
}

func (f *finder) gateway(tls *gatewayv1.GatewayTLSConfig) {
	if tls == nil {
		return
	}
	if tls.Backend != nil && tls.Backend.ClientCertificateRef != nil {
		r := tls.Backend.ClientCertificateRef
		f.add(r.Group, r.Kind, r.Name, r.Namespace)
	}
	if tls.Frontend == nil {
		return
	}
	f.frontend(&tls.Frontend.Default)
	for i := range tls.Frontend.PerPort {
		f.frontend(&tls.Frontend.PerPort[i].TLS)
	}
}

func (f *finder) frontend(tls *gatewayv1.TLSConfig) {
	if tls.Validation == nil {
		return
	}
	for _, r := range tls.Validation.CACertificateRefs {
		f.add(&r.Group, &r.Kind, r.Name, r.Namespace)
	}
}

func (f *finder) add(group *gatewayv1.Group, kind *gatewayv1.Kind, name gatewayv1.ObjectName, namespace *gatewayv1.Namespace) {
	ref := model.ObjectRef{Kind: kindSecret, Namespace: f.namespace, Name: string(name)}
	if kind != nil {
		ref.Kind = string(*kind)
	}
	if namespace != nil {
		ref.Namespace = string(*namespace)
	}
	if group != nil && *group != "" || ref.Kind != kindSecret && ref.Kind != kindConfigMap || f.seen[ref] {
		return
	}
	f.seen[ref] = true
	f.found = append(f.found, ref)
}
