package controller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// The times of an election. A leader that cannot renew its Lease gives up well
// before another may take it.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
)

// ErrLeadLost says that another replica may lead now.
var ErrLeadLost = errors.New("the lead is lost")

// leading is what probes know of the election.
type leading struct {
	// observed tells that somebody holds the Lease and it could be read: the API
	// server answers, and the rights are there.
	observed atomic.Bool
	watch    *leaderelection.HealthzAdaptor
}

// stale is how long a leader may go without renewing before it counts as dead, and stuck
// how long its work may stand still: it goes round every ten seconds, and the largest
// change takes a few.
const (
	stale = 20 * time.Second
	stuck = time.Minute
)

// elect waits for the lead, and works as long as it has it. The Lease is given
// up only when the work has ended, so that no two replicas write at once.
func (c *Controller) elect(ctx context.Context, work func(context.Context) error) error {
	client, err := coordinationv1.NewForConfig(c.opts.Config)
	if err != nil {
		return fmt.Errorf("reach the API server: %w", err)
	}
	holding, release := context.WithCancel(context.WithoutCancel(ctx))
	defer release()
	s := &shift{controller: c, ctx: ctx, work: work, release: release, result: make(chan error, 1)}
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: c.opts.Namespace, Name: c.opts.Lease},
			Client:     client,
			LockConfig: resourcelock.ResourceLockConfig{Identity: c.opts.Identity},
		},
		LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
		Name: c.opts.Lease, ReleaseOnCancel: true, WatchDog: c.leading.watch,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: s.begin,
			OnStoppedLeading: func() {},
			OnNewLeader: func(identity string) {
				c.leading.observed.Store(true)
				c.log.Info("the leader is", "identity", identity)
			},
		},
	})
	if err != nil {
		return fmt.Errorf("take part in the election: %w", err)
	}
	defer context.AfterFunc(ctx, s.leave)()
	elector.Run(holding)
	return s.end()
}

// shift is the time between the start of an election and the end of the work.
type shift struct {
	controller *Controller
	ctx        context.Context
	work       func(context.Context) error
	release    func()
	result     chan error

	mu           sync.Mutex
	begun, ended bool
}

// begin works, in a goroutine of the elector's, until the lead is lost or the
// process is to stop.
func (s *shift) begin(lead context.Context) {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return // lost as soon as won
	}
	s.begun = true
	s.mu.Unlock()
	c := s.controller
	c.log.Info("leading", "identity", c.opts.Identity)
	c.metrics.leading.Set(1)
	ctx, cancel := context.WithCancel(lead)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	err := s.work(ctx)
	c.metrics.leading.Set(0)
	s.result <- err
	s.release()
}

// leave ends an election that was not won when the process is to stop.
func (s *shift) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun {
		s.release()
	}
}

// end waits for the work to end.
func (s *shift) end() error {
	s.mu.Lock()
	s.ended = true
	begun := s.begun
	s.mu.Unlock()
	var err error
	if begun {
		err = <-s.result
	}
	switch {
	case s.ctx.Err() != nil:
		return nil
	case err != nil && !errors.Is(err, context.Canceled):
		return err
	}
	return ErrLeadLost
}

// live fails when this replica leads and cannot renew its Lease, yet has not
// ended, or when its work stands still.
func (c *Controller) live() error {
	err := c.leading.watch.Check(nil)
	if t := c.term.Load(); t != nil {
		err = errors.Join(err, t.pulse.Check("the leader", stuck))
	}
	return err
}

// ready tells that this replica leads, or could. One that leads and has not read
// everything writes nothing, and takes nothing away.
func (c *Controller) ready() error {
	if t := c.term.Load(); t != nil && !t.read.Load() {
		return fmt.Errorf("it leads, and has not read the cluster yet: %s", t.source.Progress())
	}
	if !c.leading.observed.Load() {
		return errors.New("the Lease has not been read yet")
	}
	return nil
}
