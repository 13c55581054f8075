package controller

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"

	corev1 "k8s.io/api/core/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
	"sluice.io/sluice/source/kube"
)

// copied are the entries of a Secret or ConfigMap that are copied: a certificate,
// its key, and authorities.
var copied = []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey, "ca.crt"}

// copies keeps copies, for agents, of the Secrets and ConfigMaps that Gateways
// and policies use: of those that resolve found permitted and valid, and of no
// others.
type copies struct {
	in      string // namespace
	objects *objects
	changed map[model.ObjectRef]bool // originals
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
		c.objects.see(ref, nil)
		if was != (model.ObjectRef{}) {
			c.due(was)
		}
		return
	}
	c.there[ref] = kube.Original(obj)
	c.objects.see(ref, &state{digest: obj.GetAnnotations()[applied], version: obj.GetResourceVersion()})
	c.due(c.there[ref])
}

// settle has copies made of what is in use, and others removed.
func (c *copies) settle(m *model.Mesh, documents map[model.ObjectRef]*source.Object) {
	for original := range c.changed {
		ref := c.name(original)
		if m.KeyPairs[original] == nil && m.Bundles[original] == nil {
			c.objects.set(ref, nil)
			continue
		}
		if want := c.of(ref, original, documents[original]); want != nil {
			c.objects.set(ref, want)
		}
	}
	clear(c.changed)
}

// name is the copy of an original.
func (c *copies) name(original model.ObjectRef) model.ObjectRef {
	sum := sha256.Sum256([]byte(kube.CopyName(original)))
	return model.ObjectRef{Kind: original.Kind + "Copy", Namespace: c.in, Name: hex.EncodeToString(sum[:16])}
}

// of makes a copy; nil when the original is not there.
func (c *copies) of(ref, original model.ObjectRef, doc *source.Object) *object {
	if doc == nil {
		return nil
	}
	meta := map[string]any{
		"namespace": ref.Namespace, "name": ref.Name, "labels": map[string]any{managedBy: manager},
		"annotations": map[string]any{kube.CopiedFrom: kube.CopyName(original)},
	}
	data := map[string]any{}
	switch o := doc.KubeObject.(type) {
	case *corev1.Secret:
		for _, k := range copied {
			if v, ok := o.Data[k]; ok {
				data[k] = base64.StdEncoding.EncodeToString(v)
			}
		}
		return newObject(resources[ref.Kind], "Secret", meta, map[string]any{"type": string(o.Type), "data": data})
	case *corev1.ConfigMap:
		for _, k := range copied {
			if v, ok := o.Data[k]; ok {
				data[k] = v
			}
		}
		return newObject(resources[ref.Kind], "ConfigMap", meta, map[string]any{"data": data})
	}
	return nil
}
