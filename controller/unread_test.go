package controller

import (
	"testing"

	"k8s.io/client-go/rest"

	"sluice.io/sluice/model"
)

// TestACopyOfWhatCannotBeRead: it stays as it is, whether it is wanted or not, until the
// original can be read.
func TestACopyOfWhatCannotBeRead(t *testing.T) {
	c, err := New(Options{Config: &rest.Config{}, Namespace: "n", Identity: "i", Copies: "c"})
	if err != nil {
		t.Fatal(err)
	}
	o := newObjects(c, func(model.ObjectRef, string) {})
	t.Cleanup(o.queue.waiting.ShutDown)
	original := secretRef("shop", "cert")
	unread := true
	cs := &copies{in: "c", objects: o, unread: func(model.ObjectRef) bool { return unread }}
	ref := cs.name(original)
	m := model.NewMesh()
	settle := func() *object {
		cs.due(original)
		cs.settle(m)
		return o.wants(ref)
	}
	o.see(ref, &state{digest: "earlier leader's"})
	if w := settle(); w == nil || w.body != nil {
		t.Errorf("what cannot be read is to be %+v, want it left as it is", w)
	}
	cs.settle(m)
	if !cs.changed[original] {
		t.Error("it is not looked at again")
	}
	m.KeyPairs[original] = &model.KeyPair{Certificates: []byte("c"), PrivateKey: []byte("k")}
	if w := settle(); w == nil || w.body == nil {
		t.Errorf("what was read before is to be %+v, want what was read", w)
	}
	delete(m.KeyPairs, original)
	unread = false
	if w := settle(); w != nil || len(cs.changed) > 0 {
		t.Errorf("what nobody uses is to be %+v", w)
	}
}
