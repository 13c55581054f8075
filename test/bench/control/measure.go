package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sluice.io/sluice/test/bench/load"
	"sluice.io/sluice/test/bench/product"
	"sluice.io/sluice/test/bench/rig"
)

const (
	startTimeout = 2 * time.Minute
	// fine is the time between looks while latency is measured, coarse while CPU
	// is: the looks themselves cost Envoy CPU time.
	fine   = 500 * time.Microsecond
	coarse = 5 * time.Millisecond
	// rest is the pause between edits.
	rest = 100 * time.Millisecond
	// flush is the period in which Envoy sums up its statistics: idle CPU time is
	// measured over one.
	flush = 5 * time.Second
)

// Options say how much to measure.
type Options struct {
	Cases []Case
	// Passes is how often each case is started anew; Edits how many edits are
	// timed in each pass, and again how many are accounted for CPU time.
	Passes, Edits int
	// Progress is called before each case of a pass.
	Progress func(pass int, c Case)
	// Hold is called with each case's cell when it has started, unless nil.
	Hold func(context.Context, *rig.Cell)
}

// Edit is one timed edit.
type Edit struct {
	// Seconds is the time from the rename to the first answer that shows it.
	Seconds float64 `json:"seconds"`
	// Failures counts requests that failed meanwhile.
	Failures int `json:"failures"`
}

// Sample is what one pass measured of one case.
type Sample struct {
	Case
	Pass int `json:"pass"`
	// Ready is the time from the start of sluice, with no Envoy running, until
	// the folder is in force, in seconds.
	Ready float64 `json:"ready"`
	// StartSluiceCPU and StartEnvoyCPU are the CPU time that they used until
	// then, in seconds.
	StartSluiceCPU float64 `json:"startSluiceCPU"`
	StartEnvoyCPU  float64 `json:"startEnvoyCPU"`
	// SluiceRSS and EnvoyRSS are resident bytes after all edits.
	SluiceRSS int64  `json:"sluiceRSS"`
	EnvoyRSS  int64  `json:"envoyRSS"`
	Edits     []Edit `json:"edits"`
	// SluiceCPU and EnvoyCPU are CPU seconds per edit.
	SluiceCPU float64 `json:"sluiceCPU"`
	EnvoyCPU  float64 `json:"envoyCPU"`
	// Bytes is what came to Envoy on its configuration stream per edit.
	Bytes float64 `json:"bytes"`
	// Updated is how many listeners, clusters and route configurations Envoy
	// took since the start, Edited how many routes were edited.
	Updated int `json:"updated"`
	Edited  int `json:"edited"`
}

// Result holds all samples.
type Result struct {
	Samples []*Sample `json:"samples"`
}

// Lab is where the cases are measured.
type Lab struct {
	Rig      *rig.Rig
	Binaries *product.Binaries
	Programs *load.Programs
}

// Measure measures each case once per pass, in turning order.
func (l *Lab) Measure(ctx context.Context, opts Options) (*Result, error) {
	result := &Result{}
	for pass := range opts.Passes {
		for i := range opts.Cases {
			c := opts.Cases[i]
			if pass%2 == 1 {
				c = opts.Cases[len(opts.Cases)-1-i]
			}
			if err := ctx.Err(); err != nil {
				return result, err
			}
			opts.Progress(pass, c)
			s, err := l.run(ctx, c, pass, opts)
			if err != nil {
				return result, fmt.Errorf("measure %s: %w", c, err)
			}
			result.Samples = append(result.Samples, s)
		}
	}
	return result, nil
}

// trial is one case in one pass, running.
type trial struct {
	mesh    *mesh
	cell    *rig.Cell
	sluice  *product.Sluice
	watcher *load.Watcher
	sample  *Sample
	// began is when the edits began.
	began time.Time
}

func (l *Lab) run(ctx context.Context, c Case, pass int, opts Options) (_ *Sample, err error) {
	t := &trial{mesh: newMesh(c), sample: &Sample{Case: c, Pass: pass}}
	if t.cell, err = l.Rig.Cell(fmt.Sprintf("c%d-%.1s%d", c.Routes, c.Layout, pass)); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.Rig.Remove(t.cell)) }()
	if err := l.Programs.Serve(t.cell, serverPort); err != nil {
		return nil, err
	}
	if t.sluice, err = l.Binaries.Prepare(l.Rig, t.cell); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.sluice.Stop()) }()
	if t.watcher, err = l.Programs.Watch(t.cell); err != nil {
		return nil, err
	}
	for _, step := range []func() error{
		func() error { return t.start(ctx) },
		func() error { t.hold(ctx, opts.Hold); return ctx.Err() },
		func() error { return t.timeEdits(ctx, opts.Edits) },
		func() error { return t.accountEdits(ctx, opts.Edits) },
		t.memory,
		t.countUpdates,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return t.sample, t.watcher.Stop()
}

// start starts sluice and waits until the last route serves.
func (t *trial) start(ctx context.Context) error {
	if err := t.mesh.write(t.sluice, t.cell); err != nil {
		return err
	}
	ready, err := t.sluice.Start(ctx, startTimeout)
	if err != nil {
		return err
	}
	t.sample.Ready = ready.Seconds()
	cpu, err := t.used()
	if err != nil {
		return err
	}
	t.sample.StartSluiceCPU, t.sample.StartEnvoyCPU = cpu.sluice, cpu.envoy
	_, _, err = t.watcher.Until(product.VIP(t.mesh.Routes-1), 80, "start", fine, func() error { return nil })
	t.began = time.Now()
	return err
}

func (t *trial) hold(ctx context.Context, hold func(context.Context, *rig.Cell)) {
	if hold != nil {
		hold(ctx, t.cell)
	}
}

// timeEdits measures how long edits take, and what they send to Envoy.
func (t *trial) timeEdits(ctx context.Context, n int) error {
	before, err := t.received()
	if err != nil {
		return err
	}
	for range n {
		e, err := t.edit(ctx, fine)
		if err != nil {
			return err
		}
		t.sample.Edits = append(t.sample.Edits, *e)
	}
	after, err := t.received()
	t.sample.Bytes = float64(after-before) / float64(n)
	return err
}

// edit makes one edit, waits until it is served, and rests.
func (t *trial) edit(ctx context.Context, interval time.Duration) (*Edit, error) {
	route, mark := t.mesh.edit()
	commit, err := t.sluice.Stage(t.mesh.file(route), t.mesh.text(route))
	if err != nil {
		return nil, err
	}
	took, seen, err := t.watcher.Until(product.VIP(route), 80, mark, interval, commit)
	if err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(rest):
		return &Edit{Seconds: took.Seconds(), Failures: seen.Failures}, nil
	}
}

// accountEdits measures the CPU time of edits, less what the same processes use
// when nothing is edited.
func (t *trial) accountEdits(ctx context.Context, n int) error {
	idle, err := t.usage(ctx, func() error { time.Sleep(flush); return nil })
	if err != nil {
		return err
	}
	edits, err := t.usage(ctx, func() error {
		for range n {
			if _, err := t.edit(ctx, coarse); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	share := edits.seconds / idle.seconds / float64(n)
	t.sample.SluiceCPU = edits.sluice/float64(n) - idle.sluice*share
	t.sample.EnvoyCPU = edits.envoy/float64(n) - idle.envoy*share
	return nil
}

func (t *trial) memory() (err error) {
	if t.sample.SluiceRSS, err = rig.RSS(t.sluice.PID()); err != nil {
		return err
	}
	pid, err := t.sluice.EnvoyPID()
	if err != nil {
		return err
	}
	t.sample.EnvoyRSS, err = rig.RSS(pid)
	return err
}
