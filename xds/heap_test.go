package xds_test

import (
	"net/http"
	"testing"

	"sluice.io/sluice/envoy"
	"sluice.io/sluice/model"
)

// TestHeapIsBounded: an Envoy whose heap is larger than it may be refuses new
// requests, instead of growing on; one whose heap is not serves.
func TestHeapIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		heap uint64
		want int
	}{
		"too large": {1 << 20, http.StatusServiceUnavailable},
		"enough":    {1 << 30, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			e, d := newEdge(t, func(cfg *envoy.Config) { cfg.MaxHeap = c.heap }), model.NewDelta()
			gateway(d, 80, []string{"203.0.113.1"}, webChain())
			domain(d, 80, "web", "*", to("/", weighted("one", 1)))
			e.start(t, d)
			eventually(t, "the answer that is due", func() bool {
				resp, _, err := visitor{from: e.client, to: "203.0.113.1:80"}.ask("http://any.org/")
				return err == nil && resp.StatusCode == c.want
			})
		})
	}
}
