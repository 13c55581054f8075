package netns

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// served wants a client to be in the mesh for both the kernel's and Envoy's part.
func (c *client) served(t *testing.T) {
	t.Helper()
	for _, family := range []int{4, 6} {
		if got := c.tcpName(family, "front:70"); got != "front" {
			t.Errorf("%s, TCP over IPv%d: %s", c.name, family, got)
		}
		a, err := c.try(family, request{To: "http://front/", Fresh: true})
		if err != nil {
			t.Errorf("%s, HTTP over IPv%d: %v", c.name, family, err)
			continue
		}
		if a.name() != "v2" || a.Seen.RemoteIP() != c.Addr(family) {
			t.Errorf("%s, HTTP over IPv%d: %s saw %+v, want v2 to see %s", c.name, family, a.name(), a.Seen, c.Addr(family))
		}
	}
}

// frontToV2 declares a service whose HTTP goes through Envoy to another one.
func (s *space) frontToV2() {
	s.t.Helper()
	s.each("front", "v2")
	s.apply("route", httpRoute("away", "front", "  - backendRefs: [{name: v2, port: 80}]\n"))
}

// TestWorkloadAppearsLater proves that a workload may be declared before it
// exists: status says that it is missing, and it is served once it appears.
func TestWorkloadAppearsLater(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.frontToV2()
	path := s.NetnsPath(s.ns + ".late")
	s.apply("workload", fmt.Sprintf(`
apiVersion: sluice.io/v1alpha1
kind: Workload
metadata: {name: late, namespace: $NS}
spec: {netns: %q}
`, path))
	s.settle()
	s.eventually("status names the missing workload", func() error {
		p := s.problem(s.file("workload"))
		if p == nil || p.Object.Name != "late" || !strings.Contains(p.Message, path) {
			return fmt.Errorf("problem: %+v", p)
		}
		return nil
	})
	c := s.unmeshed("late")
	if c.Netns != path {
		t.Fatalf("the lab made %s, not %s", c.Netns, path)
	}
	s.eventually("the workload is found", wantName(func() string { return c.tcpName(4, "front:70") }, "front"))
	s.eventually("Envoy serves the workload", wantName(func() string { return c.getName(4, request{To: "http://front/", Fresh: true}) }, "v2"))
	c.served(t)
	s.eventually("status has nothing to say", func() error {
		if p := s.problem(s.file("workload")); p != nil {
			return fmt.Errorf("problem: %+v", p)
		}
		return nil
	})
}

// TestWorkloadIsRecreated proves that a pod that is deleted and made again under
// the same name and path is a new workload, and served.
func TestWorkloadIsRecreated(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.frontToV2()
	c := s.client("phoenix")
	s.settle()
	c.served(t)
	for range 3 {
		if err := c.Delete(); err != nil {
			t.Fatal(err)
		}
		c = s.unmeshed("phoenix")
		s.eventually("the workload is found again", wantName(func() string { return c.tcpName(4, "front:70") }, "front"))
		s.eventually("Envoy serves it again", wantName(func() string { return c.getName(4, request{To: "http://front/", Fresh: true}) }, "v2"))
		c.served(t)
	}
}

// TestWorkloadLeaves proves that a pod whose declaration is removed is outside
// the mesh again.
func TestWorkloadLeaves(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.frontToV2()
	c := s.client("client")
	s.settle()
	c.served(t)
	s.remove("workload-client")
	s.settle()
	for _, port := range []int{70, 80} {
		_, err := c.tcp(4, s.services["front"].On(4, port).String())
		if err == nil || refused(err) {
			t.Errorf("port %d after the workload has left: %v, want it unreachable", port, err)
		}
	}
}

// TestWorkloadByCgroup proves that processes of a cgroup in the node's own
// network namespace can be a workload, and that their neighbours are none.
func TestWorkloadByCgroup(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.frontToV2()
	inside := s.newClient("inside", s.hostPod("inside"))
	neighbour := s.newClient("neighbour", s.hostPod("neighbour"))
	s.apply("workload", inside.WorkloadYAML(s.ns, "inside"))
	s.settle()
	inside.served(t)
	for _, port := range []int{70, 80} {
		_, err := neighbour.tcp(4, s.services["front"].On(4, port).String())
		if err == nil || refused(err) {
			t.Errorf("the neighbour's connection to port %d: %v, want it untouched and so unreachable", port, err)
		}
	}
}

// TestServerIsItsOwnClient proves that a pod may reach itself through its own service.
func TestServerIsItsOwnClient(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	c := s.client("both")
	if _, err := c.Serve("--name", "both"); err != nil {
		t.Fatal(err)
	}
	s.service("kernel", c.Pod)
	s.service("routed", c.Pod)
	s.apply("route", plainRoute("routed"))
	s.settle()
	families(t, func(t *testing.T, family int) {
		if got := c.tcpName(family, "kernel:70"); got != "both" {
			t.Errorf("TCP: %s", got)
		}
		a := c.get(t, family, request{To: "http://routed/"})
		if a.name() != "both" || a.Seen.RemoteIP() != c.Addr(family) {
			t.Errorf("HTTP: %s, seen %+v", a.name(), a.Seen)
		}
	})
}

// TestRedirectPortDialledByHand proves that a pod that dials Envoy's port itself
// gets nowhere, and disturbs nobody.
func TestRedirectPortDialledByHand(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.frontToV2()
	c := s.client("client")
	s.settle()
	for _, to := range []string{"http://127.0.0.1:15001/", "http://[::1]:15001/"} {
		if a, err := c.try(4, request{To: to}); err == nil {
			t.Errorf("%s answered %d: %s", to, a.Code, a.Body)
		}
	}
	for _, port := range []uint16{15001, 15006} {
		for _, addr := range []netip.Addr{c.V4, c.V6} {
			r := c.sock(t, "tcp", "-bind", netip.AddrPortFrom(addr, port).String(), netip.AddrPortFrom(addr, 1).String())[0]
			if r.Call != "bind" || r.Err != "EPERM" {
				t.Errorf("a pod may bind port %d of %s: %+v", port, addr, r)
			}
		}
	}
	c.served(t)
}
