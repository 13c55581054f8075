package netns

import (
	"regexp"
	"strings"
	"testing"

	"sluice.io/sluice/test/netns/lab"
)

// crossed is what has crossed Envoy, by its own statistics.
type crossed struct{ connections, requests, upstream int64 }

var crossedStats = map[string]*regexp.Regexp{
	"connections": regexp.MustCompile(`^listener\.[^.]+\.downstream_cx_total$`),
	"requests":    regexp.MustCompile(`^http\.[^.]+\.downstream_rq_total$`),
	"upstream":    regexp.MustCompile(`^cluster\..*\.upstream_cx_total$`),
}

func (s *space) crossed() crossed {
	s.t.Helper()
	stats, err := s.EnvoyStats(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	sums := map[string]int64{}
	for name, value := range stats {
		if strings.Contains(name, ".admin.") || strings.HasPrefix(name, "cluster.xds") {
			continue // Envoy's own business.
		}
		for what, pattern := range crossedStats {
			if pattern.MatchString(name) {
				sums[what] += value
			}
		}
	}
	return crossed{sums["connections"], sums["requests"], sums["upstream"]}
}

// frontendCount is the kernel's count of one service port.
type frontendCount struct{ Kernel, Envoy, Refused int64 }

// kernelCounts are the kernel's counts by "namespace/name:port/protocol".
func (s *space) kernelCounts() map[string]frontendCount {
	s.t.Helper()
	var dump struct {
		Frontends []struct {
			Frontend string         `json:"frontend"`
			Count    *frontendCount `json:"count"`
		} `json:"frontends"`
	}
	if err := s.Ask(s.t.Context(), &dump, "get", "maps"); err != nil {
		s.t.Fatal(err)
	}
	all := map[string]frontendCount{}
	for _, f := range dump.Frontends {
		if f.Count != nil {
			all[f.Frontend] = *f.Count
		}
	}
	return all
}

// TestOnlyWhatMustCrossesEnvoy counts what crosses Envoy, by Envoy's statistics
// and the kernel's: the requests to a service that has an HTTP route, and not one
// connection else.
func TestOnlyWhatMustCrossesEnvoy(t *testing.T) {
	t.Parallel()
	s := ownWorld(t).space(t)
	pods := s.servers("kernel", "routed", "headless")
	s.service("kernel", pods["kernel"])
	s.service("routed", pods["routed"])
	s.service("empty")
	s.declare(&lab.Service{Namespace: s.ns, Name: "headless", Headless: true, Ports: usual(), Endpoints: []*lab.Pod{pods["headless"]}})
	s.apply("route", plainRoute("routed"))
	s.apply("tcp", `
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: weighted, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: kernel, port: 90}]
  rules:
  - backendRefs: [{name: kernel, port: 70}]
`)
	c := s.client("client")
	s.settle()
	const n = 20
	before := s.crossed()
	times := func(want string, one func() string) {
		t.Helper()
		assertShares(t, n, map[string]int{want: 1}, one)
	}
	for _, family := range []int{4, 6} {
		direct := "http://" + netipPort(pods["routed"].Addr(family).String(), 8080)
		times("kernel", func() string { return c.tcpName(family, "kernel:70") })
		times("kernel", func() string { return c.tcpName(family, "kernel:90") })
		times("kernel", func() string { return c.udpName(family, "kernel:53") })
		times("kernel", func() string { return c.getName(family, request{To: "http://kernel/", Fresh: true}) })
		times("routed", func() string { return c.tcpName(family, "routed:70") })
		times("routed", func() string { return c.getName(family, request{To: direct, Fresh: true}) })
		times("error", func() string { return strings.SplitN(c.tcpName(family, "empty:70"), ":", 2)[0] })
	}
	if after := s.crossed(); after != before {
		t.Errorf("without one request to a routed service, Envoy counts %+v after %+v", after, before)
	}
	times("routed", func() string { return c.getName(4, request{To: "http://routed/", Fresh: true}) })
	times("routed", func() string { return c.getName(6, request{To: "http://routed/", H2C: true, Fresh: true}) })
	after := s.crossed()
	if got := after.connections - before.connections; got != 2*n {
		t.Errorf("%d connections crossed Envoy, want %d", got, 2*n)
	}
	if got := after.requests - before.requests; got != 2*n {
		t.Errorf("%d requests crossed Envoy, want %d", got, 2*n)
	}

	kernel := s.kernelCounts()
	for port, want := range map[string]frontendCount{
		"kernel:70/TCP": {Kernel: 2 * n}, "kernel:90/TCP": {Kernel: 2 * n}, "kernel:53/UDP": {Kernel: 2 * n}, "kernel:80/TCP": {Kernel: 2 * n},
		"routed:70/TCP": {Kernel: 2 * n}, "routed:80/TCP": {Envoy: 2 * n}, "empty:70/TCP": {Refused: 2 * n},
	} {
		if got := kernel[s.ns+"/"+port]; got != want {
			t.Errorf("the kernel counts %+v for %s, want %+v", got, port, want)
		}
	}
}
