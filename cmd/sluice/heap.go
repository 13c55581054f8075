package main

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/resource"
)

// minHeap is what Envoy needs to serve at all.
const minHeap = 64 << 20

// heapSize is a flag: an amount of memory as Kubernetes writes it, in bytes; zero
// for no limit.
type heapSize uint64

func (h *heapSize) String() string {
	return resource.NewQuantity(int64(*h), resource.BinarySI).String()
}

func (h *heapSize) Type() string { return "size" }

func (h *heapSize) Set(s string) error {
	q, err := resource.ParseQuantity(s)
	n, whole := q.AsInt64()
	if err != nil || !whole {
		return fmt.Errorf("%q is no amount of memory, such as 512Mi", s)
	}
	if n != 0 && n < minHeap {
		return fmt.Errorf("%s is too little: Envoy would refuse every request; it takes 64Mi at least", s)
	}
	*h = heapSize(n)
	return nil
}
