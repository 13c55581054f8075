package report

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice.io/sluice/test/bench/control"
	"sluice.io/sluice/test/bench/datapath"
	"sluice.io/sluice/test/bench/load"
)

func TestQuantile(t *testing.T) {
	for _, c := range []struct {
		values []float64
		q      float64
		want   float64
	}{
		{[]float64{3}, .5, 3},
		{[]float64{3, 1, 2}, .5, 2},
		{[]float64{4, 1, 2, 3}, .5, 2.5},
		{[]float64{1, 2, 3, 4, 5}, .25, 2},
		{[]float64{1, 2}, 1, 2},
	} {
		if got := quantile(c.values, c.q); got != c.want {
			t.Errorf("quantile(%v, %v) = %v, want %v", c.values, c.q, got, c.want)
		}
	}
	if got := quantile(nil, .5); !math.IsNaN(got) {
		t.Errorf("quantile of nothing = %v, want NaN", got)
	}
}

func TestRatiosCompareWithinRounds(t *testing.T) {
	// The second round was ten times slower for both: the ratio is two.
	if got := ratios([]float64{2, 20, 2}, []float64{1, 10, 1}); got.Median != 2 || got.Low != 2 || got.High != 2 {
		t.Errorf("ratios = %+v, want 2 throughout", got)
	}
}

// results are made-up figures: L4 takes as long as direct, L7 twice as long.
func results() *Results {
	r := &Results{DataPath: &datapath.Result{}, Control: &control.Result{}}
	for round := range 3 {
		for _, s := range datapath.Subjects {
			f := 10.0 * float64(round+1)
			if s.L7 {
				f *= 2
			}
			one := &load.Result{N: 100, Seconds: 1, ConnectP50: f, ConnectP99: f, P50: f, P99: f, CgroupCPU: f, MachineCPU: f}
			r.DataPath.Samples = append(r.DataPath.Samples, &datapath.Sample{Subject: s.Name, Round: round, Connect: one, Request: one, Rate: one})
		}
	}
	for _, layout := range []control.Layout{control.FilePerRoute, control.OneFile} {
		for _, n := range []int{100, 1000, 5000} {
			r.Control.Samples = append(r.Control.Samples, &control.Sample{
				Case: control.Case{Layout: layout, Routes: n}, SluiceCPU: .001, EnvoyCPU: .001,
				Edits: []control.Edit{{Seconds: .010 * float64(n) / 100}},
			})
		}
	}
	return r
}

func TestTargets(t *testing.T) {
	verdicts := map[string]string{}
	for _, row := range targets(results()).Rows {
		verdicts[row[0]] = row[3]
	}
	for figure, want := range map[string]string{
		"connect p50, Sluice L4 with 10,000 services, to direct":   "met",
		"request p50, Sluice L7, to Envoy by hand":                 "met",
		"CPU per request, Sluice L7, to two sidecars":              "missed",
		"edit among 5,000 (file per route), p50, ms":               "missed",
		"edit among 5,000 (one file), p50, to 100 routes":          "missed",
		"CPU per edit among 5,000 (file per route), to 100 routes": "met",
	} {
		if verdicts[figure] != want {
			t.Errorf("%s: %q, want %q", figure, verdicts[figure], want)
		}
	}
}

func TestPublishReplacesTheMeasuredPart(t *testing.T) {
	docs := t.TempDir()
	if err := os.Mkdir(filepath.Join(docs, "img"), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(docs, "benchmarks.md")
	if err := os.WriteFile(file, []byte("before\n"+beginMark+"\nold\n"+endMark+"\nafter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time must find the markers again
		if err := results().Publish(docs); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := string(text)
	if !strings.HasPrefix(got, "before\n") || !strings.HasSuffix(got, "\nafter\n") || strings.Contains(got, "\nold\n") {
		t.Errorf("the document became:\n%s", got)
	}
	for _, s := range datapath.Subjects {
		if !strings.Contains(got, "| "+s.Label+" |") {
			t.Errorf("no row for %s", s.Name)
		}
	}
}

func TestPlotsAreXML(t *testing.T) {
	plots := results().plots()
	if len(plots) != 4 {
		t.Fatalf("%d plots, want 4", len(plots))
	}
	for _, p := range plots {
		for d := xml.NewDecoder(strings.NewReader(string(p.svg))); ; {
			_, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Errorf("%s: %v", p.file, err)
				break
			}
		}
	}
}
