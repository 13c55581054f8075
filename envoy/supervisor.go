package envoy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"sluice.io/sluice/observe/health"
)

// Supervisor keeps one Envoy running.
type Supervisor struct {
	cfg Config

	mu     sync.Mutex
	status Status
	pulse  health.Pulse

	// The fields below are Run's alone.
	version string // of the binary that was last checked
	checked string // the spec for which it was
	refused string // a spec whose hot restart failed
	fails   int    // how often it did
	again   time.Time
	// deaf tells that the Envoy that serves cannot be asked, since a successor took
	// its admin socket and ended.
	deaf      bool
	deafSince time.Time
	// astray names a thread that is in another network namespace; Envoy is not
	// restarted for one before astrayAgain.
	astray      string
	astrayAgain time.Time
	astrayWait  time.Duration
}

// Status is the state of the Envoy process.
type Status struct {
	PID     int    `json:"pid,omitempty"`
	Version string `json:"version,omitempty"`
	// Epoch counts hot restarts since the last cold start.
	Epoch int `json:"epoch"`
	// Live tells that Envoy has its configuration and serves.
	Live bool `json:"live"`
	// Adopted tells that the process was running before this sluice was.
	Adopted bool `json:"adopted,omitempty"`
	// Restarts counts the times that Envoy ended by itself.
	Restarts int `json:"restarts"`
	// Own tells that the Envoy that serves is of this container.
	Own bool `json:"own"`
	// Stopping tells that Envoy is about to be stopped: it serves, but nothing new
	// is to be sent to it.
	Stopping bool `json:"stopping,omitempty"`
	// Astray counts the times that a thread of Envoy was found in a network namespace
	// that is not its own.
	Astray int `json:"astray,omitempty"`
	// Problem is what is wrong now, empty when nothing is.
	Problem string `json:"problem,omitempty"`
}

// New returns a supervisor. It does nothing until Run.
func New(cfg Config) *Supervisor { return &Supervisor{cfg: cfg.withDefaults()} }

// Status tells the state of the process.
func (s *Supervisor) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// Alive fails when the loop that minds Envoy has stood still for longer than anything that it
// does takes: it looks after Envoy every 100 milliseconds, and at most waits for one to be ended.
func (s *Supervisor) Alive() error { return s.pulse.Check("what minds Envoy", stuck) }

const stuck = time.Minute

func (s *Supervisor) update(change func(*Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.status)
}

const (
	step       = 100 * time.Millisecond
	look       = 50 * time.Millisecond // at locks
	lookEvery  = time.Second
	healthy    = 10 * time.Second // an Envoy that lived longer did not fail at start
	maxBackoff = 10 * time.Second
)

// keep adopts the Envoy that runs from the folder, or starts one, and minds it
// until ctx is done: it then leaves it running.
func (s *Supervisor) keep(ctx context.Context) error {
	s.pulse.Beat()
	defer s.pulse.Rest()
	p, err := s.cfg.find()
	if err != nil {
		return err
	}
	if p == nil {
		if p, err = s.launch(ctx, 0, s.cfg.hotSocket(), 0); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		s.running(p, false)
	} else {
		s.cfg.Log.Info("Envoy is running; taken over", "pid", p.PID, "epoch", p.Epoch)
		s.running(p, true)
	}
	return s.mind(ctx, p)
}

// mind waits for the process to end, and starts the next.
func (s *Supervisor) mind(ctx context.Context, p *process) error {
	var failures int
	for {
		born := time.Now()
		p = s.watch(ctx, p)
		if ctx.Err() != nil {
			p.close()
			return nil
		}
		how := p.reap()
		if parent := s.parent(); parent != nil {
			s.cfg.Log.Error("the next Envoy ended before it took over; the old one goes on", "how", how, "log", s.cfg.lastWords())
			p, s.deaf = parent, true
			continue
		}
		if time.Since(born) > healthy {
			failures = 0
		}
		s.cfg.Log.Error("Envoy ended; starting it again", "how", how, "log", s.cfg.lastWords())
		s.update(func(st *Status) {
			st.Live, st.PID = false, 0
			st.Restarts++
			st.Problem = "Envoy ended: " + how
		})
		next, err := s.relaunch(ctx, failures)
		if err != nil || next == nil {
			return err
		}
		p, s.deaf = next, false
		failures++
	}
}

// parent is the Envoy that still serves when one that was to replace it has ended
// as it started; nil if there is none.
func (s *Supervisor) parent() *process {
	if !s.cfg.starting() {
		return nil
	}
	p, err := s.cfg.find()
	if err != nil || p == nil {
		return nil
	}
	if err := s.cfg.write(p.record); err != nil {
		s.cfg.Log.Error("Envoy's process is not recorded", "error", err)
	}
	s.running(p, s.Status().Adopted)
	return p
}

// relaunch starts Envoy again: the first time at once, then with longer and
// longer pauses. It tries until it can, or ctx is done.
func (s *Supervisor) relaunch(ctx context.Context, failures int) (*process, error) {
	for {
		s.pulse.Beat()
		if failures > 0 && !pause(ctx, min(maxBackoff, 250*time.Millisecond<<min(failures, 10))) {
			return nil, nil
		}
		s.evictParents()
		p, err := s.launch(ctx, 0, s.cfg.hotSocket(), 0)
		if err == nil {
			s.running(p, false)
			return p, nil
		}
		if errors.Is(err, errNoMemory) {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, nil
		}
		s.cfg.Log.Error("Envoy cannot be started", "error", err)
		s.update(func(st *Status) { st.Problem = err.Error() })
		failures++
	}
}

// evictParents ends Envoys that a hot restart was to replace, when their
// successor is gone: they have given their listeners up, and hold the name under
// which the next Envoy would start.
func (s *Supervisor) evictParents() {
	for {
		s.pulse.Beat()
		p, err := s.cfg.find()
		if err != nil || p == nil {
			return
		}
		if err := s.cfg.end(p); err != nil {
			s.cfg.Log.Error("an Envoy whose successor is gone stays", "error", err)
			return
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// launch starts Envoy as an epoch that finds the one before by a socket, with the
// workers of that at least.
func (s *Supervisor) launch(ctx context.Context, epoch int, hot string, atLeast int) (*process, error) {
	want, err := s.cfg.spec()
	if err != nil {
		return nil, err
	}
	want, more := want.atLeast(atLeast)
	if more {
		s.cfg.Log.Warn("Envoy keeps its number of workers, since fewer would end others' datagrams: it falls when Envoy is started anew",
			"workers", atLeast, "wanted", s.cfg.Concurrency)
	}
	if err := s.check(ctx, want); err != nil {
		return nil, err
	}
	if err := s.cfg.prepare(want); err != nil {
		return nil, err
	}
	p, err := s.cfg.start(want, epoch, s.version, hot)
	if err != nil {
		return nil, err
	}
	s.cfg.Log.Info("Envoy started", "pid", p.PID, "version", p.Version, "epoch", epoch)
	return p, nil
}

// check makes sure, once for each spec, that the binary is one that will do.
func (s *Supervisor) check(ctx context.Context, want spec) error {
	if s.checked == want.id {
		return nil
	}
	version, err := CheckVersion(ctx, s.cfg.Binary)
	if err != nil {
		return fmt.Errorf("check the Envoy binary: %w", err)
	}
	s.version, s.checked = version, want.id
	return nil
}

func (s *Supervisor) running(p *process, adopted bool) {
	s.update(func(st *Status) {
		st.PID, st.Version, st.Epoch, st.Adopted = p.PID, p.Version, p.Epoch, adopted
		st.Problem = ""
	})
}
