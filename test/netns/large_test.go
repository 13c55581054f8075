package netns

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice.io/sluice/test/netns/lab"
)

// largeMeshTime is how long twenty thousand services may take on a small, busy
// machine with the race detector on; how long they do take is for test/bench.
const largeMeshTime = 4 * time.Minute

// TestTwentyThousandServices proves that a large mesh works as a small one does.
func TestTwentyThousandServices(t *testing.T) {
	t.Parallel()
	w := ownWorld(t)
	s := w.space(t)
	const files, each = 20, 1000
	server, other := s.server("server"), s.server("other")
	s.service("other", other)
	c := s.client("client")
	for f := range files {
		var b strings.Builder
		for i := range each {
			svc := &lab.Service{
				Namespace: s.ns, Name: fmt.Sprintf("s-%d", f*each+i), VIP: w.VIP(),
				Ports: []lab.Port{{Name: "http", Port: 80, Target: 8080}}, Endpoints: []*lab.Pod{server},
			}
			s.vips.Store(svc.Name, svc.VIP)
			b.WriteString(svc.YAML() + "---\n")
		}
		s.apply(fmt.Sprintf("many-%02d", f), b.String())
	}
	if err := lab.Poll(largeMeshTime, w.settle); err != nil {
		t.Fatal(err)
	}
	if n := s.status().Counts.Frontends; n < files*each {
		t.Errorf("status counts %d frontends, want %d or more", n, files*each)
	}
	for i := 0; i < files*each; i += 997 {
		to := fmt.Sprintf("http://s-%d/", i)
		if got := c.getName(4, request{To: to, Fresh: true}); got != "server" {
			t.Errorf("%s: %s, want server", to, got)
		}
	}
	s.apply("route", httpRoute("away", "s-19999", "  - backendRefs: [{name: other, port: 80}]\n"))
	s.settle()
	if got := c.getName(6, request{To: "http://s-19999/", Fresh: true}); got != "other" {
		t.Errorf("an edit among many: %s, want other", got)
	}
	if err := w.Sluice().Kill(); err != nil {
		t.Fatal(err)
	}
	if err := w.Launch(); err != nil {
		t.Fatal(err)
	}
	if err := lab.Poll(largeMeshTime, func() error { return w.WaitReady(t.Context()) }); err != nil {
		t.Fatal(err)
	}
	if got := c.getName(6, request{To: "http://s-0/", Fresh: true}); got != "server" {
		t.Errorf("after a restart: %s, want server", got)
	}
}
