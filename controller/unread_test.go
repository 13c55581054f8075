package controller

import (
	"testing"

	"sluice.io/sluice/controller/object"
	"sluice.io/sluice/model"
)

// TestACopyOfWhatCannotBeRead: it stays as it is, whether it is wanted or not, until the
// original can be read.
func TestACopyOfWhatCannotBeRead(t *testing.T) {
	o := object.NewObjects(object.Config{Urgent: urgent})
	t.Cleanup(func() { ended(o.Run) })
	original := secretRef("shop", "cert")
	unread := true
	cs := &copies{in: "c", objects: o, unread: func(model.ObjectRef) bool { return unread }}
	ref := cs.name(original)
	m := model.NewMesh()
	settle := func() *object.Object {
		cs.due(original)
		cs.settle(m, nobody)
		return o.Wants(ref)
	}
	o.See(ref, &object.State{Digest: "earlier leader's"})
	if w := settle(); w == nil || w.Body != nil {
		t.Errorf("what cannot be read is to be %+v, want it left as it is", w)
	}
	cs.settle(m, nobody)
	if !cs.changed[original] {
		t.Error("it is not looked at again")
	}
	m.KeyPairs[original] = &model.KeyPair{Certificates: []byte("c"), PrivateKey: []byte("k")}
	if w := settle(); w == nil || w.Body == nil {
		t.Errorf("what was read before is to be %+v, want what was read", w)
	}
	delete(m.KeyPairs, original)
	unread = false
	if w := settle(); w != nil || len(cs.changed) > 0 {
		t.Errorf("what nobody uses is to be %+v", w)
	}
}

// nobody is told of trouble with copies.
func nobody() map[model.ObjectRef][]model.ObjectRef { return nil }
