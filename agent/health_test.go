package agent

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// lateSource delivers when it is told to.
type lateSource struct{ due chan struct{} }

func (l *lateSource) Name() string     { return "late" }
func (l *lateSource) Progress() string { return "waiting for what is late" }

func (l *lateSource) Run(ctx context.Context, out func(source.Batch)) error {
	select {
	case <-l.due:
		out(source.Batch{})
		<-ctx.Done()
	case <-ctx.Done():
	}
	return nil
}

// stuckKernel never returns from Sync until it is let go.
type stuckKernel struct {
	*journal
	hold chan struct{}
}

func (s *stuckKernel) Sync(m *model.Mesh) error {
	<-s.hold
	return s.journal.Sync(m)
}

// TestAlive: an agent that waits for its input lives and is not ready, one that stands
// still does not live.
func TestAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, j := newTestAgent(t)
		late, kernel := &lateSource{due: make(chan struct{})}, &stuckKernel{journal: j, hold: make(chan struct{})}
		a.source, a.kernel, a.batches, a.refresh = late, kernel, make(chan source.Batch), make(chan struct{}, 1)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.loop(ctx) }()
		checks := a.Health()
		want := func(when string, live, ready bool) {
			t.Helper()
			if err := checks.Live(); (err == nil) != live {
				t.Errorf("%s, alive: %v", when, err)
			}
			if err := checks.Ready(); (err == nil) != ready {
				t.Errorf("%s, ready: %v", when, err)
			}
		}
		time.Sleep(time.Hour)
		want("without its input", true, false)
		close(late.due)
		time.Sleep(2 * stuck)
		want("with a kernel that does not answer", false, false)
		close(kernel.hold)
		time.Sleep(2 * stuck)
		want("at work", true, true)
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
