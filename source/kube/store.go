package kube

import (
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/tools/cache"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// store is where a reflector puts the objects of one kind. It keeps them bare,
// and passes on what really changed.
type store struct {
	watch *watch
	live  func(model.ObjectRef, source.KubeObject)

	mu    sync.Mutex
	known map[model.ObjectRef]source.KubeObject
}

var _ cache.TransformingStore = (*store)(nil)

func newStore(w *watch, live func(model.ObjectRef, source.KubeObject)) *store {
	if !w.kind.status {
		live = nil
	}
	return &store{watch: w, live: live, known: map[model.ObjectRef]source.KubeObject{}}
}

// restore takes in what an earlier run knew, before the first list.
func (s *store) restore(known map[model.ObjectRef]source.KubeObject) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = known
}

// Transformer trims objects before they are gathered to a list.
func (s *store) Transformer() cache.TransformFunc {
	return func(item any) (any, error) {
		if obj, ok := item.(source.KubeObject); ok {
			trimmed(s.watch.kind, obj)
		}
		return item, nil
	}
}

// Add takes in a new object.
func (s *store) Add(item any) error { return s.one(item, s.take) }

// Update takes in an object's new state.
func (s *store) Update(item any) error { return s.one(item, s.take) }

// Delete takes an object out.
func (s *store) Delete(item any) error {
	return s.one(item, func(obj source.KubeObject, changed map[model.ObjectRef]source.KubeObject) {
		s.drop(s.ref(obj), changed)
	})
}

// one works one object in, and passes on what that changed.
func (s *store) one(item any, work func(obj source.KubeObject, changed map[model.ObjectRef]source.KubeObject)) error {
	obj, ok := item.(source.KubeObject)
	if !ok {
		return fmt.Errorf("a watch for %s brought %T", s.watch.kind.name, item)
	}
	changed := map[model.ObjectRef]source.KubeObject{}
	s.mu.Lock()
	work(obj, changed)
	s.mu.Unlock()
	s.watch.inbox.put(changed)
	return nil
}

// Replace takes in a whole list.
func (s *store) Replace(items []any, _ string) error {
	changed := map[model.ObjectRef]source.KubeObject{}
	listed := make(map[model.ObjectRef]bool, len(items))
	s.mu.Lock()
	for _, item := range items {
		if obj, ok := item.(source.KubeObject); ok {
			listed[s.ref(obj)] = true
			s.take(obj, changed)
		}
	}
	for ref := range s.known {
		if !listed[ref] {
			s.drop(ref, changed)
		}
	}
	s.mu.Unlock()
	s.watch.inbox.put(changed)
	s.watch.inbox.settle(s.watch)
	return nil
}

// Resync is for stores that tell all again; this one does not.
func (s *store) Resync() error { return nil }

// take notes an object, and whether what is read of it changed.
func (s *store) take(obj source.KubeObject, changed map[model.ObjectRef]source.KubeObject) {
	trimmed(s.watch.kind, obj)
	ref := s.ref(obj)
	if s.live != nil {
		s.live(ref, obj)
	}
	now := bare(s.watch.kind, obj, s.live != nil)
	if was := s.known[ref]; was != nil && equality.Semantic.DeepEqual(was, now) {
		return
	}
	s.known[ref], changed[ref] = now, now
}

func (s *store) drop(ref model.ObjectRef, changed map[model.ObjectRef]source.KubeObject) {
	if s.live != nil {
		s.live(ref, nil)
	}
	if s.known[ref] != nil {
		delete(s.known, ref)
		changed[ref] = nil
	}
}

func (s *store) ref(obj source.KubeObject) model.ObjectRef {
	return model.ObjectRef{Kind: s.watch.kind.name, Namespace: obj.GetNamespace(), Name: obj.GetName()}
}
