package identity

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those that are counted; the others are read off the keeper when
// they are asked for.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  prometheus.Histogram
}

func newMetrics() *metrics {
	return &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_identity_requests_total", Help: "Certificates asked for, by result: ok, denied, untrusted, failed.",
		}, []string{"result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sluice_identity_request_seconds", Help: "Time until a certificate was there.", Buckets: prometheus.ExponentialBuckets(0.01, 4, 9),
		}),
	}
}

// took counts a request.
func (m *metrics) took(err error, d time.Duration) {
	switch {
	case err == nil:
		m.requests.WithLabelValues("ok").Inc()
		m.seconds.Observe(d.Seconds())
	case errors.Is(err, ErrDenied):
		m.requests.WithLabelValues("denied").Inc()
	case errors.Is(err, errUntrusted):
		m.requests.WithLabelValues("untrusted").Inc()
	default:
		m.requests.WithLabelValues("failed").Inc()
	}
}

var (
	notAfterDesc = prometheus.NewDesc("sluice_identity_not_after_timestamp_seconds",
		"When the certificate that serves for an identity expires; 0 when there is none.", []string{"identity"}, nil)
	failuresDesc = prometheus.NewDesc("sluice_identity_failures",
		"Failures in a row to get a certificate.", []string{"identity"}, nil)
	rootNotAfterDesc = prometheus.NewDesc("sluice_identity_root_not_after_timestamp_seconds",
		"When an authority of the trust bundle expires.", []string{"root", "state"}, nil)
	rootUsesDesc = prometheus.NewDesc("sluice_identity_root_certificates",
		"Certificates that lead to an authority of the trust bundle. One that is retiring can go when this is 0 everywhere.", []string{"root", "state"}, nil)
)

// Describe tells Prometheus what there is.
func (k *Keeper) Describe(out chan<- *prometheus.Desc) {
	k.metrics.requests.Describe(out)
	k.metrics.seconds.Describe(out)
	for _, d := range []*prometheus.Desc{notAfterDesc, failuresDesc, rootNotAfterDesc, rootUsesDesc} {
		out <- d
	}
}

// Collect tells Prometheus how it is.
func (k *Keeper) Collect(out chan<- prometheus.Metric) {
	k.metrics.requests.Collect(out)
	k.metrics.seconds.Collect(out)
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	uses := map[Fingerprint]int{}
	for _, s := range k.Status() {
		for _, f := range s.Roots {
			uses[f]++
		}
		if !s.Wanted {
			continue
		}
		until := 0.0
		if !s.NotAfter.IsZero() {
			until = float64(s.NotAfter.Unix())
		}
		gauge(notAfterDesc, until, s.ID.String())
		gauge(failuresDesc, float64(s.Failures), s.ID.String())
	}
	b := k.Bundle()
	if b == nil {
		return
	}
	for _, r := range b.roots {
		state := "active"
		if r.Retiring {
			state = "retiring"
		}
		gauge(rootNotAfterDesc, float64(r.Certificate.NotAfter.Unix()), r.Fingerprint.Short(), state)
		gauge(rootUsesDesc, float64(uses[r.Fingerprint]), r.Fingerprint.Short(), state)
	}
}
