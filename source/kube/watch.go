package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"sluice.io/sluice/source"
)

// watch keeps one kind.
type watch struct {
	kind    *kind
	clients *clients
	inbox   *inbox
	log     *slog.Logger
	store   *store
	// partial is that of the Options.
	partial bool
	// current asks for lists as they are now. Others may be of an API server that is
	// behind, and who removes what has no reason to be there would miss the reason.
	current bool
	// watched is the version that was watched last; nil for none yet.
	watched atomic.Pointer[string]
}

func newWatch(k *kind, c *clients, in *inbox, o Options) *watch {
	w := &watch{kind: k, clients: c, inbox: in, log: o.Log, partial: o.Partial, current: o.Serving != nil}
	w.store = newStore(w, o.Live)
	return w
}

// The pauses between attempts. An API server that comes back is found within
// seconds; the spread keeps a large cluster's agents from all coming at once.
const (
	firstPause = 500 * time.Millisecond
	lastPause  = 5 * time.Second
)

// absentPause is how often a kind is looked for that the API server lacks.
const absentPause = 10 * time.Second

// absences is how often in a row a kind must not be found before it counts as absent:
// of several API servers, one may just be starting.
const absences = 3

// run watches until ctx is done. A kind that is not served is looked for.
func (w *watch) run(ctx context.Context) {
	pause, missed := firstPause, 0
	for ctx.Err() == nil {
		version, err := w.version(ctx)
		switch {
		case err != nil:
			w.failed(ctx, err)
			pauseFor(ctx, pause)
			pause = min(2*pause, lastPause)
		case version == "":
			if missed++; missed < absences && !w.partial {
				pauseFor(ctx, firstPause)
				continue
			}
			w.absent()
			pauseFor(ctx, absentPause)
		default:
			w.reflect(ctx, version)
			pause, missed = firstPause, 0
		}
	}
}

// version is the one to watch; empty when the kind is not served.
func (w *watch) version(ctx context.Context) (string, error) {
	if !w.kind.custom() {
		return w.kind.versions[0], nil
	}
	return w.clients.served(ctx, w.kind)
}

// resource is the kind's in the version that is watched.
func (w *watch) resource() schema.GroupVersionResource {
	version := w.kind.versions[0]
	if v := w.watched.Load(); v != nil {
		version = *v
	}
	return w.kind.gv(version).WithResource(w.kind.plural)
}

// pauseFor pauses for the time and up to half as long again.
func pauseFor(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d + rand.N(d/2))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// reflect lists and watches until the kind is no longer served in the version.
func (w *watch) reflect(ctx context.Context, version string) {
	w.watched.Store(&version)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var expected any
	if !w.kind.metadata {
		expected = w.kind.new()
	}
	r := cache.NewReflectorWithOptions(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			list, err := w.list(ctx, version, o)
			w.outcome(ctx, err, stop)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
			events, err := w.events(ctx, version, o)
			if err == nil || o.SendInitialEvents == nil { // else a list is tried next
				w.outcome(ctx, err, stop)
			}
			return events, err
		},
	}, expected, w.store, cache.ReflectorOptions{
		Name:    w.kind.name,
		Backoff: &wait.Backoff{Duration: firstPause, Cap: lastPause, Steps: 10, Factor: 2, Jitter: 0.5},
	})
	r.RunWithContext(ctx)
}

// outcome notes how a request went.
func (w *watch) outcome(ctx context.Context, err error, stop func()) {
	switch {
	case err == nil:
		w.reached()
	case apierrors.IsNotFound(err) && w.kind.custom():
		stop() // the CRD may have gone: run looks
	default:
		w.failed(ctx, err)
	}
}

func (w *watch) list(ctx context.Context, version string, o metav1.ListOptions) (runtime.Object, error) {
	o.FieldSelector, o.LabelSelector = w.kind.fields, w.kind.labels
	if w.current && o.ResourceVersion == "0" {
		o.ResourceVersion = ""
	}
	gv := w.kind.gv(version)
	if w.kind.metadata {
		return w.clients.metadata.Resource(gv.WithResource(w.kind.plural)).List(ctx, o)
	}
	client, err := w.clients.of(gv)
	if err != nil {
		return nil, err
	}
	return client.Get().NamespaceIfScoped(w.kind.namespace, w.kind.namespace != "").Resource(w.kind.plural).
		VersionedParams(&o, metav1.ParameterCodec).Do(ctx).Get()
}

func (w *watch) events(ctx context.Context, version string, o metav1.ListOptions) (apiwatch.Interface, error) {
	o.FieldSelector, o.LabelSelector, o.Watch = w.kind.fields, w.kind.labels, true
	gv := w.kind.gv(version)
	if w.kind.metadata {
		return w.clients.metadata.Resource(gv.WithResource(w.kind.plural)).Watch(ctx, o)
	}
	client, err := w.clients.of(gv)
	if err != nil {
		return nil, err
	}
	return client.Get().NamespaceIfScoped(w.kind.namespace, w.kind.namespace != "").Resource(w.kind.plural).
		VersionedParams(&o, metav1.ParameterCodec).Watch(ctx)
}

// reached notes that the API server answers.
func (w *watch) reached() {
	if w.inbox.problem(w, nil) {
		w.log.Info("watching", "kind", w.kind.name)
	}
	if w.inbox.lost(w, false) {
		w.log.Info("the API server answers again")
	}
}

// failed notes why a kind cannot be watched now. What is known of it stays.
func (w *watch) failed(ctx context.Context, err error) {
	if ctx.Err() != nil || errors.Is(err, context.Canceled) {
		return
	}
	if apierrors.IsForbidden(err) {
		w.forbidden(err)
		return
	}
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return // it is listed anew
	}
	w.inbox.fail(err)
	if w.inbox.lost(w, true) {
		w.log.Warn("the API server cannot be watched; what is known of it stays in force", "kind", w.kind.name, "err", err)
	}
}

// forbidden notes that a kind may not be read: what is known of it stays, and a start
// goes on waiting for it. It is not there to be told from a kind without objects, for
// which others would be removed.
func (w *watch) forbidden(err error) {
	then := "what is known of them stays in force, and a start without a last state waits"
	if w.partial {
		then = "they count as absent"
	}
	p := source.Problem{Message: fmt.Sprintf("%s cannot be read, and %s: grant the right to list and watch them: %v", w.kind.plural, then, err)}
	if w.inbox.problem(w, &p) {
		w.log.Error("a kind cannot be watched", "kind", w.kind.name, "err", err)
	}
	if w.partial {
		w.inbox.settle(w)
	}
}

// absent notes that the API server has no such kind, and so no objects of it.
func (w *watch) absent() {
	p := source.Problem{Warning: true, Message: fmt.Sprintf("%s.%s are not served here: their CRD is not installed; it is watched for", w.kind.plural, w.kind.group)}
	if w.inbox.problem(w, &p) {
		w.log.Info("a kind is not served by the API server; it is watched for", "kind", w.kind.name, "group", w.kind.group)
	}
	_ = w.store.Replace(nil, "") // it cannot fail
}
