package datapath

import (
	"context"
	"fmt"
	"time"

	"sluice.io/sluice/test/bench/load"
	"sluice.io/sluice/test/bench/rig"
)

// Connections is how many connections the throughput is measured with.
const Connections = 16

// Options say how long to measure.
type Options struct {
	Rounds int
	// Window is the time for each measurement of a subject in a round.
	Window time.Duration
	// Progress is called before each round.
	Progress func(round int)
	// Hold is called with the last subject's cell before the rounds, unless nil.
	Hold func(context.Context, *rig.Cell)
}

// Sample is what one round measured of one subject.
type Sample struct {
	Subject string `json:"subject"`
	Round   int    `json:"round"`
	// Connect is one connection after another with one request on each, Request
	// one request after another on one connection, Rate as many requests as go
	// through on 16 connections.
	Connect *load.Result `json:"connect"`
	Request *load.Result `json:"request"`
	Rate    *load.Result `json:"rate"`
}

// Result holds all samples, and what the idle machine used, in CPUs.
type Result struct {
	Background float64   `json:"background"`
	Samples    []*Sample `json:"samples"`
}

// Measure sets up all subjects and measures each once per round. The order
// rotates from round to round and turns round in every other one, so that no
// subject always follows the same one.
func (l *Lab) Measure(ctx context.Context, subjects []Subject, opts Options) (*Result, error) {
	l.sluices = map[int]*rig.Cell{}
	targets := make([]*target, len(subjects))
	for i, s := range subjects {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		t, err := s.setUp(ctx, l)
		if err != nil {
			return nil, fmt.Errorf("set up %s: %w", s.Name, err)
		}
		targets[i] = t
	}
	if opts.Hold != nil {
		opts.Hold(ctx, targets[len(targets)-1].cell)
	}
	result := &Result{}
	var err error
	if result.Background, err = rig.Background(2 * time.Second); err != nil {
		return nil, err
	}
	for round := range opts.Rounds {
		opts.Progress(round)
		for _, i := range order(len(subjects), round) {
			if err := ctx.Err(); err != nil {
				return result, err
			}
			s, err := l.sample(targets[i], opts.Window, result.Background)
			if err != nil {
				return result, fmt.Errorf("measure %s: %w", subjects[i].Name, err)
			}
			s.Subject, s.Round = subjects[i].Name, round
			result.Samples = append(result.Samples, s)
		}
	}
	return result, nil
}

// order is the order of n subjects in a round.
func order(n, round int) []int {
	all := make([]int, n)
	for i := range all {
		at := (i + 5*round) % n
		if round%2 == 1 {
			at = n - 1 - at
		}
		all[i] = at
	}
	return all
}

func (l *Lab) sample(t *target, window time.Duration, background float64) (*Sample, error) {
	s := &Sample{}
	for _, m := range []struct {
		mode load.Mode
		into **load.Result
	}{{load.Connect, &s.Connect}, {load.Request, &s.Request}, {load.Rate, &s.Rate}} {
		r, err := l.Programs.Run(t.cell, m.mode, t.ip, t.port, window, Connections, background)
		if err != nil {
			return nil, err
		}
		*m.into = r
	}
	return s, nil
}
