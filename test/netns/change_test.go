package netns

import (
	"fmt"
	"testing"
	"time"

	"sluice.io/sluice/test/apps/echo"
	"sluice.io/sluice/test/netns/lab"
)

// TestEndpointsChangeUnderLoad proves that endpoints come and go without one
// failed connection or request, and that one that left gets nothing new.
func TestEndpointsChangeUnderLoad(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	pods := s.servers("a", "b", "c")
	all := []*lab.Pod{pods["a"], pods["b"], pods["c"]}
	kernel, routed := s.service("kernel", all...), s.service("routed", all...)
	s.apply("route", plainRoute("routed"))
	c := s.client("client")
	s.settle()
	names := []string{"a", "b", "c"}
	loads := []*load{
		startLoad(t, "new TCP connections", 2, wantName(func() string { return c.tcpName(4, "kernel:70") }, names...)),
		startLoad(t, "datagrams", 1, wantName(func() string { return c.udpName(6, "kernel:53") }, names...)),
		startLoad(t, "requests on kept connections", 2, wantName(func() string { return c.getName(4, request{To: "http://routed/"}) }, names...)),
		startLoad(t, "requests on new connections", 1, wantName(func() string { return c.getName(6, request{To: "http://routed/", Fresh: true}) }, names...)),
	}
	for i := range 24 {
		for _, svc := range []*lab.Service{kernel, routed} {
			svc.Endpoints = []*lab.Pod{all[i%3], all[(i+1)%3]}
			s.declare(svc)
		}
		progressAll(t, 3, loads...)
	}
	s.settle()
	// The last edit left out one server: once in force, it gets nothing new, and
	// may go.
	gone := all[(23+2)%3]
	progressAll(t, 20, loads...)
	if err := gone.Delete(); err != nil {
		t.Fatal(err)
	}
	progressAll(t, 100, loads...)
	stopClean(t, loads...)
}

// TestRouteChangesUnderLoad proves that steady clients notice nothing when a
// route is edited but the new target, and that the new target is in force once
// sluice says so.
func TestRouteChangesUnderLoad(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front", "v1", "v2")
	c := s.client("client")
	to := func(name string) string {
		return httpRoute("moving", "front", fmt.Sprintf("  - backendRefs: [{name: %s, port: 80}]\n", name)) + `---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: moving, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: front, port: 90}]
  rules:
  - backendRefs: [{name: ` + name + `, port: 90}]
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: moving, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: front, port: 70}]
  rules:
  - backendRefs: [{name: ` + name + `, port: 70}]
`
	}
	s.apply("route", to("v1"))
	s.settle()
	g := c.grpc(t, 4, "front:90")
	names := []string{"v1", "v2"}
	loads := []*load{
		startLoad(t, "requests on kept connections", 2, wantName(func() string { return c.getName(4, request{To: "http://front/"}) }, names...)),
		startLoad(t, "requests on new connections", 1, wantName(func() string { return c.getName(6, request{To: "http://front/", Fresh: true}) }, names...)),
		startLoad(t, "HTTP/2", 1, wantName(func() string { return c.getName(4, request{To: "http://front/", H2C: true}) }, names...)),
		startLoad(t, "gRPC", 1, wantName(func() string { return call(t.Context(), g, echo.GRPCService+"/Get") }, names...)),
		startLoad(t, "TCP connections", 1, wantName(func() string { return c.tcpName(6, "front:70") }, names...)),
	}
	for i := range 16 {
		want := names[(i+1)%2]
		s.apply("route", to(want))
		s.settle()
		for what, got := range map[string]string{
			"HTTP": c.getName(4, request{To: "http://front/"}), "gRPC": call(t.Context(), g, echo.GRPCService+"/Get"), "TCP": c.tcpName(4, "front:70"),
		} {
			if got != want {
				t.Errorf("edit %d is in force, and %s still goes to %s, want %s", i, what, got, want)
			}
		}
		progressAll(t, 2, loads...)
	}
	stopClean(t, loads...)
}

// TestRouteComesAndGoesUnderLoad proves that a service moves from the kernel to
// Envoy and back without one failed connection.
func TestRouteComesAndGoesUnderLoad(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front", "v2")
	c := s.client("client")
	s.settle()
	names := []string{"front", "v2"}
	loads := []*load{
		startLoad(t, "requests on new connections", 2, wantName(func() string { return c.getName(4, request{To: "http://front/", Fresh: true}) }, names...)),
		startLoad(t, "requests on kept connections", 1, wantName(func() string { return c.getName(6, request{To: "http://front/"}) }, names...)),
	}
	for range 6 {
		s.apply("route", httpRoute("away", "front", "  - backendRefs: [{name: v2, port: 80}]\n"))
		s.settle()
		if got := c.getName(4, request{To: "http://front/", Fresh: true}); got != "v2" {
			t.Errorf("with the route: %s, want v2", got)
		}
		progressAll(t, 5, loads...)
		s.remove("route")
		s.settle()
		if got := c.getName(4, request{To: "http://front/", Fresh: true}); got != "front" {
			t.Errorf("without the route: %s, want front", got)
		}
		progressAll(t, 5, loads...)
	}
	stopClean(t, loads...)
}

// TestClientsComeAndGo proves that pods come and go without disturbing others,
// and that a new one is served as soon as sluice says so.
func TestClientsComeAndGo(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front")
	s.apply("route", plainRoute("front"))
	steady := s.client("steady")
	s.settle()
	loads := []*load{
		startLoad(t, "requests of a steady client", 1, wantName(func() string { return steady.getName(4, request{To: "http://front/"}) }, "front")),
		startLoad(t, "new connections of a steady client", 1, wantName(func() string { return steady.getName(6, request{To: "http://front/", Fresh: true}) }, "front")),
	}
	for i := range 6 {
		name := fmt.Sprintf("visitor-%d", i)
		visitor := s.client(name)
		s.settle()
		for _, family := range []int{4, 6} {
			if got := visitor.getName(family, request{To: "http://front/"}); got != "front" {
				t.Errorf("%s over IPv%d: %s", name, family, got)
			}
		}
		s.remove("workload-" + name)
		if err := visitor.Delete(); err != nil {
			t.Fatal(err)
		}
		progressAll(t, 5, loads...)
	}
	stopClean(t, loads...)
}

// TestEditTakesEffectSoon logs how long an edit takes from the rename to the
// first request that shows it; test/bench measures it properly.
func TestEditTakesEffectSoon(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front", "v1", "v2")
	c := s.client("client")
	s.apply("route", httpRoute("moving", "front", "  - backendRefs: [{name: v1, port: 80}]\n"))
	s.settle()
	start := time.Now()
	s.apply("route", httpRoute("moving", "front", "  - backendRefs: [{name: v2, port: 80}]\n"))
	s.eventually("the edit", wantName(func() string { return c.getName(4, request{To: "http://front/"}) }, "v2"))
	t.Logf("an edit took effect within %s", time.Since(start).Round(time.Millisecond))
}
