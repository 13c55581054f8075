package report

import (
	"fmt"
	"slices"

	"sluice.io/sluice/test/bench/control"
)

// cases lists the cases that were measured, by layout and size.
func cases(r *control.Result) []control.Case {
	var all []control.Case
	if r == nil {
		return nil
	}
	for _, s := range r.Samples {
		if !slices.Contains(all, s.Case) {
			all = append(all, s.Case)
		}
	}
	slices.SortStableFunc(all, func(a, b control.Case) int {
		if a.Layout != b.Layout {
			if a.Layout == control.FilePerRoute {
				return -1
			}
			return 1
		}
		return a.Routes - b.Routes
	})
	return all
}

// passes are a case's figures, one per pass.
func passes(r *control.Result, c control.Case, m func(*control.Sample) float64) []float64 {
	var all []float64
	if r == nil {
		return nil
	}
	for _, s := range r.Samples {
		if s.Case == c {
			all = append(all, m(s))
		}
	}
	return all
}

// editTimes are the times of all edits of a case, in milliseconds.
func editTimes(r *control.Result, c control.Case) []float64 {
	var all []float64
	if r == nil {
		return nil
	}
	for _, s := range r.Samples {
		if s.Case == c {
			for _, e := range s.Edits {
				all = append(all, e.Seconds*1e3)
			}
		}
	}
	return all
}

func failures(r *control.Result, c control.Case) float64 {
	n := 0
	for _, s := range r.Samples {
		if s.Case == c {
			for _, e := range s.Edits {
				n += e.Failures
			}
		}
	}
	return float64(n)
}

func sluiceCPU(s *control.Sample) float64 { return s.SluiceCPU * 1e3 }
func envoyCPU(s *control.Sample) float64  { return s.EnvoyCPU * 1e3 }

// controlTables show edits, then starts and memory.
func controlTables(r *control.Result) []*Table {
	edits := &Table{
		Title: "One edit: from the rename of a file to the first answer that shows it",
		Header: []string{"routes", "files", "p50 ms", "p99 ms", "failed requests", "CPU ms of sluice", "CPU ms of Envoy",
			"bytes to Envoy", "resources per edited route"},
	}
	starts := &Table{
		Title:  "Start with nothing running, and memory after the edits",
		Header: []string{"routes", "files", "seconds to ready", "CPU seconds of sluice", "CPU seconds of Envoy", "MiB of sluice", "MiB of Envoy"},
	}
	for _, c := range cases(r) {
		times := editTimes(r, c)
		col := func(m func(*control.Sample) float64) string { return number(median(passes(r, c, m))) }
		name := []string{fmt.Sprint(c.Routes), string(c.Layout)}
		edits.Rows = append(edits.Rows, append(slices.Clone(name), number(median(times)), number(quantile(times, .99)),
			fmt.Sprintf("%.0f", failures(r, c)), col(sluiceCPU), col(envoyCPU),
			col(func(s *control.Sample) float64 { return s.Bytes }),
			col(func(s *control.Sample) float64 { return float64(s.Updated) / float64(max(1, s.Edited)) })))
		starts.Rows = append(starts.Rows, append(slices.Clone(name),
			col(func(s *control.Sample) float64 { return s.Ready }),
			col(func(s *control.Sample) float64 { return s.StartSluiceCPU }),
			col(func(s *control.Sample) float64 { return s.StartEnvoyCPU }),
			col(func(s *control.Sample) float64 { return float64(s.SluiceRSS) / (1 << 20) }),
			col(func(s *control.Sample) float64 { return float64(s.EnvoyRSS) / (1 << 20) })))
	}
	return []*Table{edits, starts}
}
