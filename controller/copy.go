package controller

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"

	corev1 "k8s.io/api/core/v1"

	"sluice.io/sluice/controller/object"
	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
	"sluice.io/sluice/source/kube"
)

// authorities is the entry with certificates of authorities.
const authorities = "ca.crt"

// copies keeps copies, for agents, of what Gateways and policies use of Secrets and
// ConfigMaps: of those that resolve found permitted and valid, and of no others. A
// copy has what is used, and nothing else that the original may hold: what serves as
// a bundle of authorities brings no private key along, even if it is in the same Secret.
type copies struct {
	in      string // namespace
	objects *object.Objects
	changed map[model.ObjectRef]bool // originals
	// unread tells of an original that it is there and cannot be read now.
	unread func(original model.ObjectRef) bool
	// there are the copies that exist, by the copy.
	there map[model.ObjectRef]model.ObjectRef
}

// due notes that an original, or its use, changed.
func (c *copies) due(original model.ObjectRef) {
	if c.changed == nil {
		c.changed = map[model.ObjectRef]bool{}
	}
	c.changed[original] = true
}

// see notes a copy that exists; nil when it has gone.
func (c *copies) see(ref model.ObjectRef, obj *source.Object) {
	if c.there == nil {
		c.there = map[model.ObjectRef]model.ObjectRef{}
	}
	was := c.there[ref]
	if obj == nil || kube.Original(obj) == (model.ObjectRef{}) {
		delete(c.there, ref)
		c.objects.See(ref, nil)
		if was != (model.ObjectRef{}) {
			c.due(was)
		}
		return
	}
	c.there[ref] = kube.Original(obj)
	c.objects.See(ref, &object.State{Digest: obj.GetAnnotations()[object.Applied], Version: obj.GetResourceVersion(), UID: obj.GetUID()})
	c.due(c.there[ref])
}

// settle has copies made of what is in use, and others removed. Users are who is told of
// trouble with the copies of each original.
func (c *copies) settle(m *model.Mesh, users func() map[model.ObjectRef][]model.ObjectRef) {
	if len(c.changed) == 0 {
		return
	}
	of := users()
	for original := range c.changed {
		ref := c.name(original)
		want := c.of(ref, original, m.KeyPairs[original], m.Bundles[original])
		switch {
		case want != nil:
			want.Of = of[original]
			c.objects.Set(ref, want)
		case c.unread(original):
			// It may well be in use: agents keep what they have, as it is.
			c.objects.Set(ref, &object.Object{Resource: resources[ref.Kind]})
			continue
		default:
			c.objects.Remove(ref)
		}
		delete(c.changed, original)
	}
}

// name is the copy of an original.
func (c *copies) name(original model.ObjectRef) model.ObjectRef {
	sum := sha256.Sum256([]byte(kube.CopyName(original)))
	return model.ObjectRef{Kind: original.Kind + "Copy", Namespace: c.in, Name: hex.EncodeToString(sum[:16])}
}

// of makes a copy of what is used; nil when nothing is. All are of one type, as that
// can never change, and what is used may.
func (c *copies) of(ref, original model.ObjectRef, pair *model.KeyPair, bundle *model.Bundle) *object.Object {
	data := map[string][]byte{}
	if pair != nil {
		data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey] = pair.Certificates, pair.PrivateKey
	}
	if bundle != nil {
		data[authorities] = bundle.Certificates
	}
	if len(data) == 0 {
		return nil
	}
	meta := map[string]any{
		"namespace": ref.Namespace, "name": ref.Name, "labels": map[string]any{object.ManagedBy: object.Manager},
		"annotations": map[string]any{kube.CopiedFrom: kube.CopyName(original)},
	}
	encoded := map[string]any{}
	if original.Kind == kindConfigMap {
		for k, v := range data {
			encoded[k] = string(v)
		}
		return object.New(resources[ref.Kind], kindConfigMap, meta, map[string]any{"data": encoded})
	}
	for k, v := range data {
		encoded[k] = base64.StdEncoding.EncodeToString(v)
	}
	secret := object.New(resources[ref.Kind], kindSecret, meta, map[string]any{"type": string(corev1.SecretTypeOpaque), "data": encoded})
	secret.Renew = true // an earlier one may be of another type, which can't change
	return secret
}
