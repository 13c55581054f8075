package controller

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/rest"

	"sluice.io/sluice/source"
)

// TestALeaderThatStandsStill: it does not live, while one that waits for the cluster does,
// and is not ready.
func TestALeaderThatStandsStill(t *testing.T) {
	c, err := New(Options{Config: &rest.Config{}, Namespace: "n", Identity: "i", Copies: "c"})
	if err != nil {
		t.Fatal(err)
	}
	c.leading.observed.Store(true)
	if c.live() != nil || c.ready() != nil {
		t.Errorf("one that does not lead: %v, %v", c.live(), c.ready())
	}
	tm, err := newTerm(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ended(tm.statuses.Run); ended(tm.objects.Run) })
	c.term.Store(tm)
	synctest.Test(t, func(t *testing.T) {
		tm.pulse.Beat()
		if err := c.ready(); err == nil || !strings.Contains(err.Error(), "waiting for the API server's services") || c.live() != nil {
			t.Errorf("one that reads: %v, %v", err, c.live())
		}
		tm.change(source.Batch{})
		if c.live() != nil || c.ready() != nil {
			t.Errorf("one that leads: %v, %v", c.live(), c.ready())
		}
		time.Sleep(2 * stuck)
		if err := c.live(); err == nil || !strings.Contains(err.Error(), "silent") {
			t.Errorf("one that stands still: %v", err)
		}
	})
}

// ended ends a queue that nobody ran.
func ended(run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = run(ctx) // it has no other end
}
