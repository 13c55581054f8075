// Package queue looks at what is to be brought in line, one key after the other,
// with pauses for what fails, for what changes all the time, and for what somebody
// else writes over.
//
// It owns the order and the times. It must not know what is looked at.
package queue

import (
	"context"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
)

// Workers is how many objects are written at once.
const Workers = 8

// The pauses after a failure. An object that nobody can write must not keep the
// API server busy.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = time.Minute
)

// Queue looks at objects one after the other, urgent ones first, never at one
// twice at once.
type Queue[K comparable] struct {
	waiting workqueue.TypedRateLimitingInterface[K]
	// Look brings one object in line. After tells when to look again, zero for not
	// before something changes.
	Look func(ctx context.Context, key K) (after time.Duration, err error)
	// Failed is told of failures.
	Failed func(key K, err error)
}

// New returns a queue without keys.
func New[K comparable](urgent func(K) bool) *Queue[K] {
	limits := workqueue.NewTypedItemExponentialFailureRateLimiter[K](firstPause, lastPause)
	return &Queue[K]{waiting: workqueue.NewTypedRateLimitingQueueWithConfig(limits, workqueue.TypedRateLimitingQueueConfig[K]{
		DelayingQueue: workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[K]{
			Queue: workqueue.NewTypedWithConfig(workqueue.TypedQueueConfig[K]{Queue: newOrder(urgent)}),
		}),
	})}
}

// Add has an object looked at.
func (q *Queue[K]) Add(key K) { q.waiting.Add(key) }

// Run works until ctx is done.
func (q *Queue[K]) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, q.waiting.ShutDown)
	defer stop()
	var group sync.WaitGroup
	for range Workers {
		group.Go(func() {
			for q.next(ctx) {
			}
		})
	}
	group.Wait()
	return ctx.Err()
}

func (q *Queue[K]) next(ctx context.Context) bool {
	key, shutdown := q.waiting.Get()
	if shutdown {
		return false
	}
	defer q.waiting.Done(key)
	after, err := q.Look(ctx, key)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		q.Failed(key, err)
		q.waiting.AddRateLimited(key)
	case after > 0:
		q.waiting.Forget(key)
		q.waiting.AddAfter(key, after)
	default:
		q.waiting.Forget(key)
	}
	return true
}
