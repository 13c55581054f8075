package xds_test

import (
	"fmt"
	"net/http"
	"testing"

	"sluice.io/sluice/model"
)

// TestHandoff sends requests of two clients through one Envoy: each reaches the
// server from the client's own address, by both families, and never on a
// connection of the other's.
func TestHandoff(t *testing.T) {
	w := newWorld(t)
	a, b, s := w.pod("blue", "a"), w.pod("red", "b"), w.pod("shop", "s")
	s.handle(8080, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(rw, "%s %s %s", r.RemoteAddr, r.Host, r.URL)
	}))
	d := model.NewDelta()
	service(d, "v4", model.AppAuto, at(s.v4, 8080))
	service(d, "v6", model.AppAuto, at(s.v6, 8080))
	frontend(d, "web", "", []string{"10.96.0.1", "fd00:96::1"}, to("/6", weighted("v6", 1)), to("/", weighted("v4", 1)))
	for _, p := range []*pod{a, b, s} {
		d.Workloads[p.key] = p.workload()
	}
	w.apply(d)
	w.ready()
	for i := range 20 {
		for _, p := range []*pod{a, b} {
			for _, vip := range []string{"10.96.0.1", "[fd00:96::1]"} {
				if resp, body := p.get("http://" + vip + "/x?y=1"); resp.StatusCode != 200 || !from(body, p.v4.String()) {
					t.Fatalf("request %d of %s to %s: %d %s", i, p.v4, vip, resp.StatusCode, body)
				}
				if resp, body := p.get("http://" + vip + "/6"); resp.StatusCode != 200 || !from(body, "["+p.v6.String()+"]") {
					t.Fatalf("request %d of %s to %s: %d %s", i, p.v6, vip, resp.StatusCode, body)
				}
			}
		}
	}
	// What a pod dials itself is refused.
	if resp, body, err := a.try(a.client(false), "http://127.0.0.1:15001/"); err == nil {
		t.Errorf("a connection to the redirect port was answered: %d %s", resp.StatusCode, body)
	}
}

func from(body, addr string) bool { return len(body) > len(addr) && body[:len(addr)+1] == addr+":" }
