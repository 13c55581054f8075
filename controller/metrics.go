package controller

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are what Prometheus is told.
type metrics struct {
	registry *prometheus.Registry
	leading  prometheus.Gauge
	batches  prometheus.Counter
	resolve  prometheus.Histogram
	writes   *prometheus.CounterVec
	pending  *prometheus.GaugeVec
	gateways prometheus.Gauge
	pool     *prometheus.GaugeVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		leading:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "sluice_controller_leading", Help: "1 when this replica leads."}),
		batches:  prometheus.NewCounter(prometheus.CounterOpts{Name: "sluice_controller_batches_total", Help: "Batches of changes read from the API server."}),
		resolve: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sluice_controller_resolve_seconds", Help: "Time to work a batch of changes in.", Buckets: prometheus.ExponentialBuckets(0.0001, 4, 10),
		}),
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_controller_writes_total", Help: "Writes to the API server, by kind and by result: ok, conflict, error, fought.",
		}, []string{"kind", "result"}),
		pending:  prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "sluice_controller_pending", Help: "Objects that wait to be looked at, by the kind of work."}, []string{"work"}),
		gateways: prometheus.NewGauge(prometheus.GaugeOpts{Name: "sluice_controller_gateways", Help: "Gateways of our classes."}),
		pool:     prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "sluice_controller_pool_assigned", Help: "Addresses that are assigned, by pool."}, []string{"pool"}),
	}
	m.registry.MustRegister(m.leading, m.batches, m.resolve, m.writes, m.pending, m.gateways, m.pool,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	return mux
}
