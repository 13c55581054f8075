package approver

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"sluice.io/sluice/identity/certmanager"
)

// Options say how to approve.
type Options struct {
	Policy Policy
	Config *rest.Config
	// Keep is how long requests that are over stay, for people to look at; 10 min
	// when zero.
	Keep time.Duration
	Log  *slog.Logger
}

const (
	defaultKeep = 10 * time.Minute
	// forsaken is how old a request is that nobody waits for any more.
	forsaken = time.Hour
	// workers is how many requests are looked at at once.
	workers = 8
)

// The pauses after a failure.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 30 * time.Second
)

// Approver decides on requests and removes them when they are over. One in a
// cluster is to run, but two do no harm: the second one's word is not taken.
type Approver struct {
	opts     Options
	log      *slog.Logger
	requests dynamic.ResourceInterface
	pods     corev1client.PodsGetter
	informer cache.SharedIndexInformer
	queue    workqueue.TypedRateLimitingInterface[string]
	metrics  *metrics

	mu    sync.Mutex
	alien map[string]bool // requests that somebody else has approved, by UID
}

// New allocates an approver. It asks nothing yet.
func New(o Options) (*Approver, error) {
	if err := o.Policy.complete(); err != nil {
		return nil, err
	}
	if o.Keep == 0 {
		o.Keep = defaultKeep
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	client, err := dynamic.NewForConfig(o.Config)
	if err != nil {
		return nil, fmt.Errorf("reach the API server: %w", err)
	}
	pods, err := corev1client.NewForConfig(o.Config)
	if err != nil {
		return nil, fmt.Errorf("reach the API server: %w", err)
	}
	a := &Approver{
		opts: o, log: o.Log, requests: client.Resource(certmanager.Resource).Namespace(o.Policy.Namespace), pods: pods,
		informer: dynamicinformer.NewFilteredDynamicInformer(client, certmanager.Resource, o.Policy.Namespace, 0, cache.Indexers{}, nil).Informer(),
		queue:    workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstPause, lastPause)),
		metrics:  newMetrics(), alien: map[string]bool{},
	}
	return a, a.listen()
}

// listen has requests that come or change looked at.
func (a *Approver) listen() error {
	add := func(obj any) {
		if m, ok := obj.(metav1.Object); ok {
			a.queue.Add(m.GetName())
		}
	}
	_, err := a.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: add, UpdateFunc: func(_, now any) { add(now) },
		DeleteFunc: func(obj any) {
			if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = gone.Obj
			}
			if m, ok := obj.(metav1.Object); ok {
				a.forget(string(m.GetUID()))
			}
		},
	})
	if err != nil {
		return err
	}
	return a.informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, _ *cache.Reflector, err error) {
		if ctx.Err() == nil {
			a.log.Warn("CertificateRequests cannot be watched: no agent gets certificates until they can", "err", err)
		}
	})
}

// Run decides until ctx is done.
func (a *Approver) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, a.queue.ShutDown)()
	var group sync.WaitGroup
	group.Go(func() { a.informer.RunWithContext(ctx) })
	for range workers {
		group.Go(func() {
			for a.next(ctx) {
			}
		})
	}
	group.Wait()
	return ctx.Err()
}

// next looks at one request.
func (a *Approver) next(ctx context.Context) bool {
	name, shutdown := a.queue.Get()
	if shutdown {
		return false
	}
	defer a.queue.Done(name)
	after, err := a.look(ctx, name)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		a.metrics.errors.Inc()
		a.log.Warn("a CertificateRequest cannot be answered yet", "request", name, "err", err)
		a.queue.AddRateLimited(name)
	default:
		a.queue.Forget(name)
		if after > 0 {
			a.queue.AddAfter(name, after)
		}
	}
	return true
}

// look brings one request in line. After tells when to look again.
func (a *Approver) look(ctx context.Context, name string) (after time.Duration, err error) {
	obj, found, err := a.informer.GetStore().GetByKey(a.opts.Policy.Namespace + "/" + name)
	if err != nil || !found {
		return 0, err
	}
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return 0, fmt.Errorf("%T is no CertificateRequest", obj)
	}
	var r Request
	if r.CertificateRequest, r.Unknown, err = certmanager.Decode(u); err != nil {
		return 0, err
	}
	if r.Spec.IssuerRef.Complete() != a.opts.Policy.Issuer.Complete() {
		return 0, nil // somebody else's, also when it is over
	}
	a.suspect(r)
	if err := a.decide(ctx, r); err != nil {
		return 0, err
	}
	return a.sweep(ctx, r)
}

// decide decides on a request, if that is ours to do.
func (a *Approver) decide(ctx context.Context, r Request) error {
	now := time.Now()
	q, d := a.opts.Policy.Examine(r)
	if q != nil {
		facts, err := a.ask(ctx, *q)
		if err != nil {
			return err
		}
		d = a.opts.Policy.Decide(r, facts, now)
	}
	if d.Verdict == LeaveAlone {
		return nil
	}
	if written, err := a.answer(ctx, r, d, now); err != nil || !written {
		return err
	}
	a.metrics.decisions.WithLabelValues(d.Verdict.String(), d.Reason).Inc()
	log := a.log.Info
	if d.Verdict == Deny {
		log = a.log.Warn
	}
	log("CertificateRequest", "request", r.Name, "verdict", d.Verdict.String(), "reason", d.Reason, "message", d.Message, "requester", clip(r.Spec.Username))
	return nil
}
