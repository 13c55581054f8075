package kube

import (
	"context"
	"log/slog"
	"maps"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// derive turns what the watches bring into the objects that are handed on. One
// goroutine uses it.
type derive struct {
	log       *slog.Logger
	pods      *pods // nil when pods are handed on
	copiesIn  string
	documents *documents // nil when copies are read instead
	claims    *claims    // nil as documents is
	copies    *copies    // nil when documents are fetched
}

func newDerive(o Options, c *clients) *derive {
	d := &derive{log: o.Log, copiesIn: o.CopiesIn}
	if o.Serving == nil {
		d.pods = newPods(o.Cgroup)
	}
	if o.Copies == "" {
		d.documents, d.claims = newDocuments(c, o.Log), newClaims(o.Controller)
	} else {
		d.copies = newCopies()
	}
	return d
}

// batch makes a batch of changes. Again tells that something is left to be
// tried later.
func (d *derive) batch(ctx context.Context, changed map[model.ObjectRef]source.KubeObject) (b source.Batch, again bool) {
	out := map[model.ObjectRef]*source.Object{}
	for ref, obj := range changed {
		switch ref.Kind {
		case kindPod:
			if d.pods == nil {
				out[ref] = objectOf(ref, obj)
			} else {
				d.pods.pod(ref, obj)
			}
		case kindNamespace:
			out[ref] = objectOf(ref, obj)
			if d.pods != nil {
				d.pods.namespace(ref, obj)
			}
		case kindSecret, kindConfigMap:
			d.document(ref, obj, out)
		default:
			out[ref] = objectOf(ref, obj)
			if d.claims != nil {
				d.claims.change(ref, obj)
			}
		}
	}
	if d.pods != nil {
		maps.Copy(out, d.pods.changes())
	}
	if d.documents != nil {
		for ref, obj := range d.claims.changes() {
			d.documents.refers(ref, obj)
		}
		again = d.documents.fetch(ctx, out)
	}
	return source.Batch{Changed: out}, again
}

func (d *derive) document(ref model.ObjectRef, obj source.KubeObject, out map[model.ObjectRef]*source.Object) {
	if d.copies != nil {
		d.copies.change(ref, obj, out)
		return
	}
	d.documents.seen(ref, obj)
	if d.copiesIn != "" && ref.Namespace == d.copiesIn {
		ref.Kind += "Copy"
		out[ref] = objectOf(ref, obj)
	}
}

// objectOf is an object with its provenance; nil for one that is gone.
func objectOf(ref model.ObjectRef, obj source.KubeObject) *source.Object {
	if obj == nil {
		return nil
	}
	return &source.Object{KubeObject: obj, Origin: model.Origin{Object: ref, Rule: -1}}
}
