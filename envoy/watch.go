package envoy

import (
	"context"
	"time"
)

const (
	// deafAfter is how long Envoy's admin socket must have been nobody's until that
	// counts: one that starts has it soon.
	deafAfter = 10 * time.Second
	// A hot restart that failed is tried again, less and less often.
	firstRetry = 10 * time.Second
	lastRetry  = 5 * time.Minute
)

// watch minds a process until it has ended or ctx is done, and returns the one
// that it minded last: a hot restart replaces it on the way.
func (s *Supervisor) watch(ctx context.Context, p *process) *process {
	s.deafSince = time.Time{}
	var looked time.Time
	for ctx.Err() == nil {
		s.pulse.Beat()
		if p.exited(step) {
			return p
		}
		if live := s.Status().Live; live && time.Since(looked) < lookEvery {
			continue
		}
		looked = time.Now()
		live := s.listen(ctx)
		s.update(func(st *Status) { st.Live, st.Own = live, live && !s.cfg.foreign(p) })
		if err := s.cfg.rotate(); err != nil {
			s.cfg.Log.Warn("Envoy's log grows on", "error", err)
		}
		if live {
			s.search(p)
			p = s.renew(ctx, p)
		}
	}
	return p
}

// listen tells whether Envoy serves: it says so, or it did before a successor that
// has failed took its admin socket.
func (s *Supervisor) listen(ctx context.Context) bool {
	live, gone := s.cfg.live(ctx)
	switch {
	case !gone:
		s.deaf, s.deafSince = false, time.Time{}
		return live
	case s.deafSince.IsZero():
		s.deafSince = time.Now()
	case time.Since(s.deafSince) > deafAfter:
		s.deaf = true
	}
	return s.deaf
}

// outdated says why a process is to be replaced; empty if it is not.
func (s *Supervisor) outdated(p *process, want spec) string {
	switch {
	case s.deaf:
		return "it cannot be asked any more"
	case want.id != p.Spec:
		return "its binary or bootstrap changed"
	case s.cfg.foreign(p):
		return "it is in another container"
	case s.mayReturn():
		return "a thread is in another network namespace: " + s.astray
	}
	return ""
}

// renew replaces a process that is out of date by its next epoch, which takes
// over its sockets; the old one drains and ends by itself.
func (s *Supervisor) renew(ctx context.Context, p *process) *process {
	want, err := s.cfg.spec()
	if err != nil {
		return p // a binary that is just being replaced is not there for a moment
	}
	why := s.outdated(p, want)
	if why == "" || s.refused == want.id && time.Now().Before(s.again) {
		return p
	}
	s.cfg.Log.Info("hot restart of Envoy", "because", why, "pid", p.PID, "epoch", p.Epoch)
	s.returns()
	if err := s.cfg.forgetStart(); err != nil {
		return s.stay(ctx, p, want, err.Error())
	}
	next, err := s.launch(ctx, p.Epoch+1, p.hot, workers(arguments(p.PID)))
	if err != nil {
		return s.stay(ctx, p, want, err.Error())
	}
	if s.succeeds(ctx, next, p) {
		s.deaf, s.refused, s.fails = false, "", 0
		s.running(next, false)
		p.close()
		return next
	}
	return s.stay(ctx, p, want, next.reap()+": "+s.cfg.lastWords())
}

// stay goes on with a process, and notes the spec that could not replace it, so
// that it is not tried all the time.
func (s *Supervisor) stay(ctx context.Context, p *process, want spec, why string) *process {
	if s.refused != want.id {
		s.refused, s.fails = want.id, 0
	}
	s.again = time.Now().Add(min(lastRetry, firstRetry<<min(s.fails, 10)))
	s.fails++
	_, s.deaf = s.cfg.live(ctx)
	s.cfg.Log.Error("hot restart failed; the old Envoy goes on", "error", why)
	if err := s.cfg.write(p.record); err != nil {
		s.cfg.Log.Error("Envoy's process is not recorded", "error", err)
	}
	s.running(p, s.Status().Adopted)
	s.update(func(st *Status) { st.Problem = "hot restart failed: " + why })
	return p
}

// succeeds waits until the next epoch has told the one before it to drain, which
// then has given up the admin socket; false when the next epoch ended first.
func (s *Supervisor) succeeds(ctx context.Context, next, p *process) bool {
	for ctx.Err() == nil {
		s.pulse.Beat()
		if next.exited(step) {
			return false
		}
		if live, _ := s.cfg.live(ctx); p.exited(0) || live && s.cfg.epoch(ctx) == next.Epoch {
			return true
		}
	}
	return true
}
