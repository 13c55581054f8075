package controller

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"sluice.io/sluice/controller/queue"
	"sluice.io/sluice/model"
)

// What traffic waits for is looked at before statuses that only tell, however
// many of them came first.
func TestUrgentObjectsAreLookedAtFirst(t *testing.T) {
	q := queue.New(urgent)
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	var seen []model.ObjectRef
	q.Look = func(_ context.Context, ref model.ObjectRef) (time.Duration, error) {
		mu.Lock()
		defer mu.Unlock()
		if seen = append(seen, ref); len(seen) == 102 {
			stop()
		}
		return 0, nil
	}
	for i := range 100 {
		q.Add(model.ObjectRef{Kind: "HTTPRoute", Name: strconv.Itoa(i)})
	}
	for _, kind := range []string{kindGateway, kindAddressPool} {
		q.Add(model.ObjectRef{Kind: kind, Name: "late"})
	}
	_ = q.Run(ctx)
	for i, ref := range seen {
		if urgent(ref) && i >= 2*queue.Workers {
			t.Errorf("%s is looked at after %d others", ref, i)
		}
	}
	if len(seen) != 102 {
		t.Errorf("%d objects are looked at, want 102", len(seen))
	}
}
