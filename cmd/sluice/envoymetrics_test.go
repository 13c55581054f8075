package main

import (
	"net/http/httptest"
	"strings"
	"testing"

	"sluice.io/sluice/envoy"
)

// TestEnvoyMetrics: what docs and alerts name is there, beside the probes.
func TestEnvoyMetrics(t *testing.T) {
	h := envoyMetrics(envoy.New(envoy.Config{Dir: t.TempDir()}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		"# TYPE sluice_envoy_live gauge\nsluice_envoy_live 0", "# TYPE sluice_envoy_epoch gauge\nsluice_envoy_epoch 0",
		"# TYPE sluice_envoy_crashes_total counter\nsluice_envoy_crashes_total 0", "# TYPE sluice_envoy_astray_total counter\nsluice_envoy_astray_total 0",
	} {
		if !strings.Contains(w.Body.String(), "\n"+want+"\n") {
			t.Errorf("%d, no %q in:\n%s", w.Code, want, w.Body)
		}
	}
}
