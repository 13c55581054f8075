package envoy

import (
	"context"
	"time"
)

// watch minds a process until it has ended or ctx is done, and returns the one
// that it minded last: a hot restart replaces it on the way.
func (s *Supervisor) watch(ctx context.Context, p *process) *process {
	var looked time.Time
	for ctx.Err() == nil {
		if p.exited(step) {
			return p
		}
		if live := s.Status().Live; live && time.Since(looked) < lookEvery {
			continue
		}
		looked = time.Now()
		live := s.cfg.live(ctx)
		s.update(func(st *Status) { st.Live = live })
		if err := s.cfg.rotate(); err != nil {
			s.cfg.Log.Warn("Envoy's log grows on", "error", err)
		}
		if live {
			p = s.renew(ctx, p)
		}
	}
	return p
}

// renew replaces a process that is out of date by its next epoch, which takes
// over its sockets; the old one drains and ends by itself.
func (s *Supervisor) renew(ctx context.Context, p *process) *process {
	want, err := s.cfg.spec()
	if err != nil || want.id == p.Spec || want.id == s.refused {
		return p // a binary that is just being replaced is not there for a moment
	}
	s.cfg.Log.Info("Envoy's binary or bootstrap changed: hot restart", "pid", p.PID, "epoch", p.Epoch)
	next, err := s.launch(ctx, p.Epoch+1, p.hot, workers(arguments(p.PID)))
	if err != nil {
		return s.stay(p, want, err.Error())
	}
	if s.succeeds(ctx, next, p) {
		p.close()
		return next
	}
	return s.stay(p, want, next.reap()+": "+s.cfg.lastWords())
}

// stay goes on with a process, and notes the spec that could not replace it, so
// that it is not tried forever.
func (s *Supervisor) stay(p *process, want spec, why string) *process {
	s.refused = want.id
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
		if next.exited(step) {
			return false
		}
		if p.exited(0) || s.cfg.live(ctx) && s.cfg.epoch(ctx) == next.Epoch {
			return true
		}
	}
	return true
}
