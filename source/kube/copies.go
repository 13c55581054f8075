package kube

import (
	"strings"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// CopiedFrom is the annotation of a copy that names the original, such as
// Secret/shop/cart.
const CopiedFrom = "sluice.io/copied-from"

// CopyName is the value of CopiedFrom.
func CopyName(original model.ObjectRef) string {
	return original.Kind + "/" + original.Namespace + "/" + original.Name
}

// copies gives copies the names of their originals.
type copies struct {
	originals map[model.ObjectRef]model.ObjectRef // by the copy
}

func newCopies() *copies { return &copies{originals: map[model.ObjectRef]model.ObjectRef{}} }

// change hands on a copy as its original. What is no copy is none of ours.
func (c *copies) change(ref model.ObjectRef, obj source.KubeObject, out map[model.ObjectRef]*source.Object) {
	var now model.ObjectRef
	if obj != nil {
		now = Original(obj)
	}
	if was := c.originals[ref]; was != (model.ObjectRef{}) && was != now {
		out[was] = nil
	}
	if now == (model.ObjectRef{}) {
		delete(c.originals, ref)
		return
	}
	c.originals[ref] = now
	named := obj.DeepCopyObject().(source.KubeObject)
	named.SetNamespace(now.Namespace)
	named.SetName(now.Name)
	named.SetLabels(nil)
	named.SetAnnotations(nil)
	out[now] = objectOf(now, named)
}

// Original is what a copy was made from; the zero value when it is no copy.
func Original(obj source.KubeObject) model.ObjectRef {
	parts := strings.Split(obj.GetAnnotations()[CopiedFrom], "/")
	if len(parts) != 3 || parts[0] != kindSecret && parts[0] != kindConfigMap {
		return model.ObjectRef{}
	}
	return model.ObjectRef{Kind: parts[0], Namespace: parts[1], Name: parts[2]}
}
