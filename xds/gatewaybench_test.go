package xds_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"sluice.io/sluice/model"
)

// BenchmarkGatewayHost is the time from a host of a gateway's port that is changed,
// or new, among many, to the real Envoy's first answer by it; and what many cost
// an Envoy that starts.
func BenchmarkGatewayHost(b *testing.B) {
	for _, n := range []int{100, 1000, 5000} {
		b.Run(fmt.Sprintf("hosts=%d", n), func(b *testing.B) {
			e, d := newEdge(b), model.NewDelta()
			gateway(d, 80, []string{"203.0.113.1"}, webChain())
			domain(d, 80, "web", "*.wild.example.com", to("/", weighted("two", 1)))
			for i := range n {
				service(d, fmt.Sprintf("s%d", i), model.AppAuto, at(e.server.v4, 8081))
				versioned(d, i, 0)
			}
			began := time.Now()
			e.start(b, d)
			cold := time.Since(began)
			b.Run("changed", func(b *testing.B) {
				b.ReportMetric(cold.Seconds(), "cold-s")
				b.ReportMetric(e.allocated(), "envoy-MB")
				e.edit(b, func(i int) int { return i * 37 % n })
			})
			added := n
			b.Run("new", func(b *testing.B) {
				e.edit(b, func(int) int { added++; return added })
			})
		})
	}
}

// edit measures edits of hosts.
func (e *edge) edit(b *testing.B, which func(i int) int) {
	v := visitor{from: e.client, to: "203.0.113.1:80"}
	c := v.client()
	var took []time.Duration
	for i := range b.N {
		d, n := model.NewDelta(), which(i)
		service(d, fmt.Sprintf("s%d", n), model.AppAuto, at(e.server.v4, 8081))
		versioned(d, n, i+1)
		began := time.Now()
		done := make(chan struct{})
		go func() { e.apply(d); close(done) }()
		for answer := ""; answer != strconv.Itoa(i+1); {
			resp, _, err := v.from.try(c, fmt.Sprintf("http://h%d.example.com/", n))
			if err != nil {
				b.Fatal(err)
			}
			answer = resp.Header.Get("Version")
		}
		took = append(took, time.Since(began))
		<-done
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
}

// allocated is the memory that Envoy has in use, in MB.
func (e *edge) allocated() float64 {
	var m struct {
		Allocated string `json:"allocated"`
	}
	if err := json.Unmarshal([]byte(e.admin("/memory")), &m); err != nil {
		e.t.Fatal(err)
	}
	n, err := strconv.ParseFloat(m.Allocated, 64)
	if err != nil {
		e.t.Fatal(err)
	}
	return n / 1e6
}

// versioned is one of many hosts, whose answers tell its version.
func versioned(d *model.Delta, i, version int) {
	domain(d, 80, "web", fmt.Sprintf("h%d.example.com", i), filter(to("/", weighted(fmt.Sprintf("s%d", i), 1)),
		model.HTTPFilter{ResponseHeaders: &model.HeaderModifier{Set: []model.Header{{Name: "Version", Value: strconv.Itoa(version)}}}}))
}
