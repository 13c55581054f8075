package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice.io/sluice/test/bench/gateways"
)

// clusterResults are made-up figures: Sluice takes 20 ms throughout, Envoy
// Gateway as many as there are routes, and fails in its last pass.
func clusterResults() *ClusterResults {
	r := &ClusterResults{Gateways: &gateways.Result{Kubernetes: "v1", EnvoyGateway: "v1"}}
	for _, n := range []int{100, 1000, 5000} {
		for pass := range 3 {
			for _, product := range []string{ours, theirs} {
				s := &gateways.Sample{
					Case: gateways.Case{Gateways: 1, Routes: n}, Product: product, Pass: pass, Converged: 1,
					EditCPU: map[gateways.Role]float64{gateways.Controller: .002, gateways.Envoy: .002},
					Clients: map[gateways.Phase]*gateways.Requests{gateways.Edits: {Requests: 100}},
				}
				seconds := .020
				if product == theirs {
					seconds = float64(n) / 1e3
					s.EditCPU[gateways.Envoy] = .006
					s.Clients[gateways.Edits].Failures = 1
					if pass == 2 {
						s.Failed = "it did\nnot start"
					}
				}
				for _, kind := range gateways.Kinds() {
					s.Edits = append(s.Edits, gateways.Edit{Kind: kind, Seconds: seconds})
				}
				r.Gateways.Samples = append(r.Gateways.Samples, s)
			}
		}
	}
	return r
}

func TestClusterTargets(t *testing.T) {
	r := clusterResults()
	for _, row := range r.targets().Rows {
		if row[3] != "met" {
			t.Errorf("%v, want it met", row)
		}
	}
	for _, s := range r.Gateways.Samples {
		if s.Product == ours && s.Routes == 5000 {
			s.Edits[0].Seconds = .2
			s.Clients[gateways.Edits].Failures = 1
		}
	}
	missed := 0
	for _, row := range r.targets().Rows {
		if row[3] == "missed" {
			missed++
		}
	}
	if missed != 3 {
		t.Errorf("%d targets are missed, want p50, flatness and failures:\n%s", missed, r.Text())
	}
}

func TestClusterRatios(t *testing.T) {
	for i, want := range []string{"5.00", "50.0", "250"} {
		row := clusterResults().ratios().Rows[i]
		if row[1] != want || row[5] != "2.00" {
			t.Errorf("ratios %v, want %s and 2.00", row, want)
		}
	}
}

func TestClusterPartIsReplaced(t *testing.T) {
	docs := t.TempDir()
	if err := os.Mkdir(filepath.Join(docs, "img"), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(docs, "benchmarks.md")
	rest := beginMark + "\nthe other part\n" + endMark + "\n"
	if err := os.WriteFile(file, []byte(rest+clusterBegin+"\nold\n"+clusterEnd+"\nafter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := clusterResults().Publish(docs); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := string(b)
	if !strings.HasPrefix(got, rest) || !strings.HasSuffix(got, "\nafter\n") || strings.Contains(got, "\nold\n") {
		t.Errorf("the document became:\n%s", got)
	}
	for _, want := range []string{"img/bench-cluster.svg", "| Envoy Gateway |", "it did not start"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in:\n%s", want, got)
		}
	}
}
