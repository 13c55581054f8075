package queue

import "k8s.io/client-go/util/workqueue"

// order is that in which waiting keys are looked at: urgent ones first, and among
// equals the one that has waited longest.
type order[K comparable] struct {
	urgent func(K) bool
	first  workqueue.Queue[K]
	rest   workqueue.Queue[K]
}

func newOrder[K comparable](urgent func(K) bool) *order[K] {
	return &order[K]{urgent, workqueue.DefaultQueue[K](), workqueue.DefaultQueue[K]()}
}

// Touch is called when a key is added that waits already.
func (*order[K]) Touch(K) {}

// Push adds a key.
func (o *order[K]) Push(key K) {
	if o.urgent(key) {
		o.first.Push(key)
	} else {
		o.rest.Push(key)
	}
}

// Len is how many keys wait.
func (o *order[K]) Len() int { return o.first.Len() + o.rest.Len() }

// Pop takes the next key.
func (o *order[K]) Pop() K {
	if o.first.Len() > 0 {
		return o.first.Pop()
	}
	return o.rest.Pop()
}
