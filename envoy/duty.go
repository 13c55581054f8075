package envoy

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"time"
)

// offering is how long one that is to end waits for another supervisor, if there
// is one, to take over.
const offering = time.Second

// Run adopts the Envoy that runs from the folder, or starts one, and minds it
// until ctx is done. It then leaves it running; or stops it, where it ends with
// the container. It returns an error only when there is no Envoy that could be
// run at all.
//
// Of several supervisors of one folder the one that came last minds Envoy. The
// others stand by, and whoever is first takes over when that one ends.
func (s *Supervisor) Run(ctx context.Context) error {
	t, err := openTurn(s.cfg.lockFile())
	if err != nil {
		return err
	}
	defer t.close()
	err = t.take(ctx)
	for err == nil {
		if err = s.serve(ctx, t); err != nil || ctx.Err() != nil {
			break
		}
		s.cfg.Log.Info("another supervisor minds Envoy now; standing by")
		err = t.inherit(ctx)
	}
	if s.cfg.Container && ctx.Err() != nil {
		err = errors.Join(err, s.awaitEnd())
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// serve has the charge, until ctx is done or another supervisor claims it.
func (s *Supervisor) serve(ctx context.Context, t *turn) (err error) {
	defer t.free(charge)
	// What goes with the charge goes on while Envoy drains.
	post, relieve := context.WithCancel(context.WithoutCancel(ctx))
	duty, cancel := context.WithCancel(ctx)
	var others sync.WaitGroup
	var failed error
	defer func() {
		cancel()
		relieve()
		others.Wait()
		err = errors.Join(err, failed)
	}()
	others.Go(func() {
		defer cancel()
		for !t.taken(claim) && pause(duty, look) {
		}
	})
	if s.cfg.OnDuty != nil {
		others.Go(func() {
			defer cancel()
			if e := s.cfg.OnDuty(post); e != nil && !errors.Is(e, context.Canceled) {
				failed = e
			}
		})
	}
	if err := s.keep(duty); err != nil || ctx.Err() == nil || !s.cfg.Container {
		return err
	}
	return s.conclude(t)
}

// conclude ends the service of a supervisor that has the charge: another one gets
// it, if there is one, and Envoy with it; else Envoy is stopped.
func (s *Supervisor) conclude(t *turn) error {
	if s.offer(t) {
		s.cfg.Log.Info("another supervisor has taken Envoy over")
		return nil
	}
	s.cfg.Log.Info("stopping Envoy", "serves on for", s.cfg.DrainDelay, "then drains for at most", s.cfg.DrainTime)
	s.update(func(st *Status) { st.Stopping = true })
	claimed := func() bool { return t.taken(claim) }
	for end := time.Now().Add(s.cfg.DrainDelay); time.Now().Before(end) && !claimed(); time.Sleep(look) {
	}
	if claimed() {
		return nil
	}
	return s.cfg.stop(t, s.cfg.DrainTime, claimed)
}

// offer gives the charge up for a moment, and tells whether somebody took it.
func (s *Supervisor) offer(t *turn) bool {
	t.free(charge)
	for end := time.Now().Add(offering); time.Now().Before(end); time.Sleep(look) {
		if t.taken(charge) {
			return true
		}
	}
	return !t.try(charge)
}

// awaitEnd waits for the Envoys of this container that another one's replaces: they
// have connections still, which would be cut when the container ends.
func (s *Supervisor) awaitEnd() error {
	end := time.Now().Add(s.cfg.parentTime() + 5*time.Second)
	for time.Now().Before(end) {
		mine, err := s.cfg.all()
		ours := 0
		for _, p := range mine {
			if !s.cfg.foreign(p) {
				ours++
			}
			p.close()
		}
		if err != nil || ours == 0 {
			return err
		}
		time.Sleep(look)
	}
	return nil
}

// Stop ends the Envoys that run from the folder, and removes the folder and the
// memory that they shared. Connections have the drain time to end; no supervisor
// may run.
func Stop(cfg Config) error {
	c := cfg.withDefaults()
	t, err := openTurn(c.lockFile())
	if errors.Is(err, fs.ErrNotExist) { // the folder's folder is not there, nor is anything else
		return c.stop(nil, c.DrainTime, func() bool { return false })
	}
	if err != nil {
		return err
	}
	defer t.close()
	if !t.try(charge) {
		return errors.New("stop Envoy: a supervisor minds it: stop that first")
	}
	return c.stop(t, c.DrainTime, func() bool { return false })
}
