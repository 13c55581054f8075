package controller

import (
	"context"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
)

// workers is how many objects are written at once.
const workers = 8

// The pauses after a failure. An object that nobody can write must not keep the
// API server busy.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = time.Minute
)

// queue looks at objects one after the other, urgent ones first, never at one
// twice at once.
type queue[K comparable] struct {
	waiting workqueue.TypedRateLimitingInterface[K]
	// look brings one object in line. After tells when to look again, zero for not
	// before something changes.
	look func(ctx context.Context, key K) (after time.Duration, err error)
	// failed is told of failures.
	failed func(key K, err error)
}

func newQueue[K comparable](urgent func(K) bool) *queue[K] {
	limits := workqueue.NewTypedItemExponentialFailureRateLimiter[K](firstPause, lastPause)
	return &queue[K]{waiting: workqueue.NewTypedRateLimitingQueueWithConfig(limits, workqueue.TypedRateLimitingQueueConfig[K]{
		DelayingQueue: workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[K]{
			Queue: workqueue.NewTypedWithConfig(workqueue.TypedQueueConfig[K]{Queue: newOrder(urgent)}),
		}),
	})}
}

// add has an object looked at.
func (q *queue[K]) add(key K) { q.waiting.Add(key) }

// run works until ctx is done.
func (q *queue[K]) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, q.waiting.ShutDown)
	defer stop()
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for q.next(ctx) {
			}
		})
	}
	group.Wait()
	return ctx.Err()
}

func (q *queue[K]) next(ctx context.Context) bool {
	key, shutdown := q.waiting.Get()
	if shutdown {
		return false
	}
	defer q.waiting.Done(key)
	after, err := q.look(ctx, key)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		q.failed(key, err)
		q.waiting.AddRateLimited(key)
	case after > 0:
		q.waiting.Forget(key)
		q.waiting.AddAfter(key, after)
	default:
		q.waiting.Forget(key)
	}
	return true
}
