package kube

import (
	"context"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
)

// sight is what a watch of one object's metadata saw last.
type sight struct {
	resource        schema.GroupVersionResource
	namespace, name string

	mu   sync.Mutex
	now  word
	at   time.Time // when it came to be so
	once bool      // it has been there
}

var _ cache.ReflectorStore = (*sight)(nil)

// watch looks until ctx is done.
func (s *sight) watch(ctx context.Context, client metadata.Interface) {
	objects := client.Resource(s.resource).Namespace(s.namespace)
	only := fields.OneTermEqualSelector(metav1.ObjectNameField, s.name).String()
	r := cache.NewReflectorWithOptions(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = only
			return objects.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
			o.FieldSelector = only
			return objects.Watch(ctx, o)
		},
	}, nil, s, cache.ReflectorOptions{
		Name:    s.resource.Resource + " " + s.name,
		Backoff: &wait.Backoff{Duration: firstPause, Cap: lastPause, Steps: 10, Factor: 2, Jitter: 0.5},
	})
	r.RunWithContext(ctx)
}

// last is what was seen last, and since when it is so.
func (s *sight) last() (word, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now, s.at
}

// seen tells whether it has ever been there.
func (s *sight) seen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.once
}

func (s *sight) see(now word) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.once = s.once || now != missing
	if !s.once {
		return // what has never been there can't go
	}
	s.now, s.at = now, time.Now()
}

// Add sees it.
func (s *sight) Add(item any) error {
	now := stays
	if m, ok := item.(*metav1.PartialObjectMetadata); ok && going(&m.ObjectMeta) {
		now = over
	}
	s.see(now)
	return nil
}

// Update sees it change.
func (s *sight) Update(item any) error { return s.Add(item) }

// Delete sees it go.
func (s *sight) Delete(any) error {
	s.see(missing)
	return nil
}

// Replace sees it, or that it is not there.
func (s *sight) Replace(items []any, _ string) error {
	for _, item := range items {
		return s.Add(item)
	}
	s.see(missing)
	return nil
}

// Resync is for stores that tell all again; this one does not.
func (s *sight) Resync() error { return nil }
