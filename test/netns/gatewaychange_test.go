package netns

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice.io/sluice/test/netns/lab"
)

// steady are clients of a gateway: on connections that they keep, and on new
// ones, in the clear and by TLS. None of their requests may fail.
func (g *gateway) steady(t *testing.T, c *client, ca *authority) []*load {
	t.Helper()
	kept := func(family int, port uint16) *http.Client {
		hc := c.visitor(g.on(family, port), ca, true)
		t.Cleanup(hc.CloseIdleConnections)
		return hc
	}
	requests := func(name string, v visit, want ...string) *load {
		return startLoad(t, name, 1, wantName(func() string { return c.visitName(v) }, want...))
	}
	return []*load{
		requests("requests on kept connections", visit{to: "http://any.example.com/", who: kept(4, 80)}, "web", "other"),
		requests("requests on new connections", visit{to: "http://any.example.com/", at: g.on(6, 80)}, "web", "other"),
		requests("requests on kept TLS connections", visit{to: "https://first.example.com/", who: kept(6, 443)}, "web"),
		requests("requests on new TLS connections", visit{to: "https://first.example.com/", at: g.on(4, 443), ca: ca}, "web"),
		startLoad(t, "new TCP connections", 1, wantName(func() string { return c.tcpName(4, g.on(4, 70)) }, "web")),
		startLoad(t, "datagrams", 1, wantName(func() string { return c.udpName(6, g.on(6, 53)) }, "web")),
	}
}

// TestGatewayChangesUnderLoad proves that steady clients notice nothing while
// routes, listeners and certificates of their gateway change, and others come
// and go: only what the configuration says changes for them.
func TestGatewayChangesUnderLoad(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	ca := newAuthority(t)
	g := startGateway(s, ca)
	c := s.unmeshed("outside")
	loads := g.steady(t, c, ca)
	for i := range 8 {
		backend := []string{"web", "other"}[i%2]
		s.apply("route-"+fmt.Sprint(i), toGateway("HTTPRoute", fmt.Sprintf("host-%d", i), "front", "http", fmt.Sprintf("host-%d.example.com", i), "{name: other, port: 80}"))
		s.apply("moving", toGateway("HTTPRoute", "a-moving", "front", "http", "any.example.com", "{name: "+backend+", port: 80}"))
		s.secret(ca, "first", fmt.Sprintf("first-%d", i), "first.example.com")
		g.listen(kinds + fmt.Sprintf(`
- {name: more, port: %d, protocol: HTTP}
- {name: hosted, port: 80, protocol: HTTP, hostname: hosted-%d.example.com}
- {name: third, port: 443, protocol: HTTPS, hostname: third-%d.example.com, tls: {certificateRefs: [{name: second}]}}
`, 1000+i, i, i))
		s.settle()
		if got := c.visitName(visit{to: "http://any.example.com/", at: g.on(4, 80)}); got != backend {
			t.Errorf("round %d: the route's new backend: %s, want %s", i, got, backend)
		}
		if got := c.visitName(visit{to: fmt.Sprintf("http://host-%d.example.com/", i), at: g.on(6, 80)}); got != "other" {
			t.Errorf("round %d: a new route: %s", i, got)
		}
		want := fmt.Sprintf("first-%d web", i)
		s.eventually("the new certificate is shown", wantName(func() string {
			return c.certificate(visit{to: "https://first.example.com/", at: g.on(4, 443), ca: ca})
		}, want))
		progressAll(t, 10, loads...)
	}
	stopClean(t, loads...)
}

// TestGatewayOutlivesSluice proves that a gateway goes on when sluice is killed,
// and is taken over; that with Envoy dead its connections fail, although another
// process of the node listens on all addresses, until Envoy is back; and that
// uninstall gives everything back.
func TestGatewayOutlivesSluice(t *testing.T) {
	t.Parallel()
	w := ownWorld(t)
	s := w.space(t)
	ca := newAuthority(t)
	g := startGateway(s, ca)
	if _, err := s.hostPod("thief").Serve("--name", "thief", "--http", ":80", "--grpc", "", "--tcp", ":70", "--udp", ""); err != nil {
		t.Fatal(err)
	}
	c := s.unmeshed("outside")
	loads := g.steady(t, c, ca)
	progressAll(t, 20, loads...)
	for range 2 {
		if err := w.Sluice().Kill(); err != nil {
			t.Fatal(err)
		}
		progressAll(t, 25, loads...)
		if err := w.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		progressAll(t, 20, loads...)
	}
	w.restartsEnvoy(t, loads)
	stopClean(t, loads...)
	g.failsClosed(t, c)

	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	if left := gatewayTraces(t, w); len(left) != 2 {
		t.Errorf("an installed gateway leaves a link and a program, so that they can be found: %q", left)
	}
	if out, err := w.Uninstall(t.Context()); err != nil {
		t.Fatalf("uninstall: %v\n%s", err, out)
	}
	if left := append(traces(t, w), gatewayTraces(t, w)...); len(left) > 0 {
		t.Errorf("uninstall left:\n%s", strings.Join(left, "\n"))
	}
	for _, family := range []int{4, 6} {
		if got := c.visitName(visit{to: "http://any.example.com/", at: s.hostAddr(family) + ":80"}); got != "thief" {
			t.Errorf("the node's own port 80: %s", got)
		}
		if got := c.visitName(visit{to: "http://any.example.com/", at: g.on(family, 80)}); !strings.HasPrefix(got, "error") {
			t.Errorf("a gateway's address that is nobody's any more: %s", got)
		}
	}
}

// restartsEnvoy makes Envoy restart hot, with more workers: its successor takes
// the listening sockets over, and adds some.
func (w *world) restartsEnvoy(t *testing.T, loads []*load) {
	t.Helper()
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	w.EnvoyWorkers = 4
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := lab.Poll(60*time.Second, func() error {
		var status struct{ Envoy struct{ Epoch int } }
		if err := w.Ask(t.Context(), &status, "status"); err != nil {
			return err
		}
		if status.Envoy.Epoch != 1 {
			return fmt.Errorf("Envoy's epoch is %d", status.Envoy.Epoch)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	progressAll(t, 25, loads...)
}

// failsClosed kills Envoy while clients dial: whoever answers is the gateway's
// backend, and nobody else.
func (g *gateway) failsClosed(t *testing.T, c *client) {
	t.Helper()
	var loads []*load
	for _, family := range []int{4, 6} {
		for name, one := range map[string]func() string{
			"requests":        func() string { return c.visitName(visit{to: "http://any.example.com/", at: g.on(family, 80)}) },
			"TCP connections": func() string { return c.tcpName(family, g.on(family, 70)) },
		} {
			loads = append(loads, startLoad(t, fmt.Sprintf("%s over IPv%d that may fail", name, family), 1, func() error {
				if got := one(); got != "web" && !strings.HasPrefix(got, "error") && !strings.HasPrefix(got, "503") {
					return fmt.Errorf("%s answered", got)
				}
				return nil
			}))
		}
	}
	progressAll(t, 20, loads...)
	if err := g.s.Sluice().Kill(); err != nil {
		t.Fatal(err)
	}
	if err := g.s.KillEnvoy(); err != nil {
		t.Fatal(err)
	}
	progressAll(t, 25, loads...)
	for _, family := range []int{4, 6} {
		began := time.Now()
		if _, err := c.tcp(family, g.on(family, 70)); !refused(err) || time.Since(began) > 5*time.Second {
			t.Errorf("without Envoy, over IPv%d: %v after %s, want it refused at once", family, err, time.Since(began))
		}
	}
	if err := g.s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, family := range []int{4, 6} {
		g.s.eventually("Envoy is back", wantName(func() string {
			return c.visitName(visit{to: "http://any.example.com/", at: g.on(family, 80)})
		}, "web"))
	}
	progressAll(t, 25, loads...)
	stopClean(t, loads...)
}

// gatewayTraces lists what gateways leave on the node: the program of its
// network namespace, and the link with their addresses.
func gatewayTraces(t *testing.T, w *world) []string {
	t.Helper()
	found := netnsLinks(t, w.Netns)
	out, err := w.Run(t.Context(), "ip", "-o", "link", "show")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		if strings.Contains(line, ": sluice0:") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	slices.Sort(found)
	return found
}
