package netns

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice.io/sluice/test/netns/lab"
)

// apartWorld is a node whose Envoy runs apart from sluice, as in Kubernetes, with a
// gateway and a mesh in use.
func apartWorld(t *testing.T, flags ...string) (*world, *lab.Container) {
	t.Helper()
	w := idleWorld(t)
	w.EnvoyApart = true
	if err := w.Launch(); err != nil {
		t.Fatal(err)
	}
	envoy := w.container(t, flags...)
	if err := w.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w, envoy
}

func (w *world) container(t *testing.T, flags ...string) *lab.Container {
	t.Helper()
	c, err := w.StartContainer(flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("sluice envoy:\n%s", c.Output())
		}
	})
	if err := c.Serves(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// inFlight is what is under way when Envoy is told to go, and must come to its end:
// slow requests, in the mesh and to a gateway, and connections on which something
// is said now and then.
type inFlight struct {
	requests chan string
	said     chan error
}

const slowly = 6 * time.Second

func (s *space) startInFlight(g *gateway, outside, inside *client) *inFlight {
	s.t.Helper()
	f := &inFlight{requests: make(chan string, 3), said: make(chan error, 1)}
	path := fmt.Sprintf("/delay/%s", slowly)
	talk, err := outside.tcp(6, g.on(6, 70))
	if err != nil {
		s.t.Fatal(err)
	}
	go func() { f.requests <- outside.visitName(visit{to: "http://any.example.com" + path, at: g.on(4, 80)}) }()
	go func() { f.requests <- outside.visitName(visit{to: "http://any.example.com" + path, at: g.on(6, 80)}) }()
	go func() { f.requests <- inside.getName(4, request{To: "http://front" + path, Fresh: true}) }()
	go func() {
		var err error
		for end := time.Now().Add(slowly); err == nil && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			err = talk.Say("still here")
		}
		f.said <- err
		_ = talk.Close()
	}()
	return f
}

// end waits for all, which must not have noticed anything.
func (f *inFlight) end(t *testing.T) {
	t.Helper()
	got := map[string]int{}
	for range cap(f.requests) {
		got[<-f.requests]++
	}
	if got["web"] != 2 || got["v2"] != 1 {
		t.Errorf("slow requests: %v, want two of web and one of v2", got)
	}
	if err := <-f.said; err != nil {
		t.Errorf("a long TCP connection: %v", err)
	}
}

// TestEnvoyReplaced proves that nobody notices when the Envoy of a node moves into
// another container, as in a rollout of the DaemonSet: no connection is refused,
// and what is under way in the old one comes to its end. Nor when it moves once
// more, back to one that stands by, because the new one is killed or withdrawn.
func TestEnvoyReplaced(t *testing.T) {
	t.Parallel()
	flags := []string{"--drain-time", "8s", "--drain-delay", "1s"}
	w, first := apartWorld(t, flags...)
	s := w.space(t)
	ca := newAuthority(t)
	g := startGateway(s, ca)
	outside, inside := s.unmeshed("outside"), s.client("inside")
	s.frontToV2()
	s.settle()
	loads := append(g.steady(t, outside, ca),
		startLoad(t, "requests of the mesh on kept connections", 1, wantName(func() string { return inside.getName(4, request{To: "http://front/"}) }, "v2")),
		startLoad(t, "requests of the mesh on new connections", 1, wantName(func() string { return inside.getName(6, request{To: "http://front/", Fresh: true}) }, "v2")))
	progressAll(t, 20, loads...)

	under := s.startInFlight(g, outside, inside)
	progressAll(t, 20, loads...)
	second := w.container(t, flags...)
	progressAll(t, 50, loads...)
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	under.end(t)
	if err := first.Ended(40 * time.Second); err != nil {
		t.Error(err)
	}
	progressAll(t, 50, loads...)

	third := w.container(t, flags...)
	progressAll(t, 20, loads...)
	if err := third.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := second.Serves(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := third.Ended(40 * time.Second); err != nil {
		t.Error(err)
	}
	progressAll(t, 50, loads...)
	stopClean(t, loads...)
}

// TestEnvoyStops proves that an Envoy which is told to end, while nobody is there
// to take it over, first says that it is not ready, and takes connections all the
// while; that what is under way comes to its end; and that afterwards a gateway's
// connections are refused, though others listen on its ports, until there is an
// Envoy again.
func TestEnvoyStops(t *testing.T) {
	t.Parallel()
	w, envoy := apartWorld(t, "--drain-time", "30s", "--drain-delay", "3s")
	s := w.space(t)
	ca := newAuthority(t)
	g := startGateway(s, ca)
	if _, err := s.hostPod("thief").Serve("--name", "thief", "--http", ":80", "--grpc", "", "--tcp", ":70", "--udp", ""); err != nil {
		t.Fatal(err)
	}
	outside, inside, node := s.unmeshed("outside"), s.client("inside"), s.newClient("node", s.hostPod("node"))
	s.frontToV2()
	s.settle()
	ready := func() string { return node.getName(4, request{To: "http://127.0.0.1:15021/readyz", Fresh: true}) }
	if got := ready(); got != "200" {
		t.Fatalf("before: %s", got)
	}
	under := s.startInFlight(g, outside, inside)
	began := time.Now()
	if err := envoy.Stop(); err != nil {
		t.Fatal(err)
	}
	s.eventually("it is not ready", func() error {
		if got := ready(); got != "503" {
			return fmt.Errorf("readyz: %s", got)
		}
		return nil
	})
	if got := outside.visitName(visit{to: "http://any.example.com/", at: g.on(4, 80)}); got != "web" {
		t.Errorf("a new request while it serves on: %s", got)
	}
	for time.Since(began) < 4*time.Second { // it drains now
		if got := outside.tcpName(6, g.on(6, 70)); got != "web" {
			t.Fatalf("a new connection %s after it was told to end: %s", time.Since(began), got)
		}
	}
	under.end(t)
	if err := envoy.Ended(10 * time.Second); err != nil { // long before the drain time is over
		t.Error(err)
	}
	for _, family := range []int{4, 6} {
		if got := outside.visitName(visit{to: "http://any.example.com/", at: g.on(family, 80)}); !strings.Contains(got, "refused") {
			t.Errorf("IPv%d without Envoy: %s, want it refused", family, got)
		}
		if _, err := outside.tcp(family, g.on(family, 70)); !refused(err) {
			t.Errorf("TCP over IPv%d without Envoy: %v, want it refused", family, err)
		}
		if got := inside.getName(family, request{To: "http://front/", Fresh: true}); !strings.Contains(got, "refused") {
			t.Errorf("the mesh over IPv%d without Envoy: %s, want it refused", family, got)
		}
	}
	w.container(t)
	for _, family := range []int{4, 6} {
		s.eventually("Envoy is back", wantName(func() string {
			return outside.visitName(visit{to: "http://any.example.com/", at: g.on(family, 80)})
		}, "web"))
	}
}
