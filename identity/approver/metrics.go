package approver

import "github.com/prometheus/client_golang/prometheus"

// metrics are what Prometheus is told.
type metrics struct {
	decisions *prometheus.CounterVec
	errors    prometheus.Counter
	alien     prometheus.Counter
}

func newMetrics() *metrics {
	return &metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_approver_decisions_total", Help: "Decisions on CertificateRequests, by verdict (approved, denied) and reason.",
		}, []string{"verdict", "reason"}),
		errors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_approver_errors_total", Help: "CertificateRequests that could not be answered at once.",
		}),
		alien: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_approver_foreign_approvals_total", Help: "CertificateRequests of Sluice's issuer that somebody else has approved. Must be 0.",
		}),
	}
}

// Describe tells Prometheus what there is.
func (a *Approver) Describe(out chan<- *prometheus.Desc) {
	a.metrics.decisions.Describe(out)
	a.metrics.errors.Describe(out)
	a.metrics.alien.Describe(out)
}

// Collect tells Prometheus how it is.
func (a *Approver) Collect(out chan<- prometheus.Metric) {
	a.metrics.decisions.Collect(out)
	a.metrics.errors.Collect(out)
	a.metrics.alien.Collect(out)
}
