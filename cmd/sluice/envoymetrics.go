package main

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sluice.io/sluice/envoy"
)

// envoyMetrics is what Prometheus is told of the process of Envoy. Of what it does
// Envoy's own statistics tell.
func envoyMetrics(s *envoy.Supervisor) http.Handler {
	registry := prometheus.NewRegistry()
	now := func(value func(envoy.Status) int) func() float64 {
		return func() float64 { return float64(value(s.Status())) }
	}
	gauge := func(name, help string, value func(envoy.Status) int) {
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, now(value)))
	}
	counter := func(name, help string, value func(envoy.Status) int) {
		registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, now(value)))
	}
	gauge("sluice_envoy_live", "1 when Envoy has its configuration and serves.", func(st envoy.Status) int {
		if st.Live {
			return 1
		}
		return 0
	})
	gauge("sluice_envoy_epoch", "Hot restarts since the last cold start.", func(st envoy.Status) int { return st.Epoch })
	counter("sluice_envoy_crashes_total", "Times that Envoy ended by itself, since this supervisor started.", func(st envoy.Status) int { return st.Restarts })
	counter("sluice_envoy_astray_total", "Times that a thread of Envoy was found in another network namespace, since this supervisor started.",
		func(st envoy.Status) int { return st.Astray })
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}
