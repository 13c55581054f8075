package xds_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"sluice.io/sluice/model"
)

// BenchmarkGatewayHost is the time from a changed Host, among many on one
// gateway's port, to the real Envoy's first answer by it.
func BenchmarkGatewayHost(b *testing.B) {
	for _, n := range []int{100, 1000, 5000} {
		for _, wild := range []bool{false, true} {
			b.Run(fmt.Sprintf("hosts=%d/wildcard=%t", n, wild), func(b *testing.B) { benchmarkHost(b, n, wild) })
		}
	}
}

func benchmarkHost(b *testing.B, n int, wild bool) {
	e, d := newEdge(b), model.NewDelta()
	gateway(d, 80, []string{"203.0.113.1"}, webChain())
	for i := range n {
		service(d, fmt.Sprintf("s%d", i), model.AppAuto, at(e.server.v4, 8081))
		versioned(d, i, 0)
	}
	if wild {
		domain(d, 80, "web", "*.wild.example.com", to("/", weighted("two", 1)))
	}
	e.start(b, d)
	v := visitor{from: e.client, to: "203.0.113.1:80"}
	c := v.client()
	var took []time.Duration
	b.ResetTimer()
	for i := range b.N {
		d, which := model.NewDelta(), i*37%n
		versioned(d, which, i+1)
		began := time.Now()
		done := make(chan struct{})
		go func() { e.apply(d); close(done) }()
		for {
			resp, _, err := v.from.try(c, fmt.Sprintf("http://h%d.example.com/", which), func(*http.Request) {})
			if err != nil {
				b.Fatal(err)
			}
			if resp.Header.Get("Version") == strconv.Itoa(i+1) {
				break
			}
		}
		took = append(took, time.Since(began))
		<-done
	}
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
}

// versioned is one of many hosts, whose answers tell its version.
func versioned(d *model.Delta, i, version int) {
	domain(d, 80, "web", fmt.Sprintf("h%d.example.com", i), filter(to("/", weighted(fmt.Sprintf("s%d", i), 1)),
		model.HTTPFilter{ResponseHeaders: &model.HeaderModifier{Set: []model.Header{{Name: "Version", Value: strconv.Itoa(version)}}}}))
}
