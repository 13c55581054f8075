package netns

import (
	"fmt"
	"strings"
	"testing"
)

// TestPortTaken proves that a workload on whose loopback another program had
// Envoy's port, before it joined the mesh, harms nobody else: Envoy is not told of
// it, and gateways that are made afterwards are served on the node. It is named
// with its reason; its connections that need Envoy are refused, and reach that
// program never; and when that has gone, all is well.
func TestPortTaken(t *testing.T) {
	t.Parallel()
	w := ownWorld(t)
	s := w.space(t)
	s.frontToV2()
	c := s.unmeshed("taken")
	thief, err := c.Serve("--name", "thief", "--http", ":15001", "--grpc", "", "--tcp", "", "--udp", "")
	if err != nil {
		t.Fatal(err)
	}
	s.apply("workload-taken", c.WorkloadYAML(s.ns, "taken"))
	neighbour := s.client("neighbour")
	s.settle()

	s.eventually("the workload is named with its reason", func() error {
		for _, p := range s.status().Problems {
			if p.Object.Name == "taken" && strings.Contains(p.Message, "port 15001") && strings.Contains(p.Message, "listens there") && strings.Contains(p.Message, "ss -ltnp") {
				return nil
			}
		}
		return fmt.Errorf("problems: %+v", s.status().Problems)
	})
	families(t, func(t *testing.T, family int) {
		if got := c.getName(family, request{To: "http://front/", Fresh: true}); !strings.Contains(got, "refused") {
			t.Errorf("what needs Envoy: %s, want it refused", got)
		}
		if got := c.tcpName(family, "front:70"); got != "front" {
			t.Errorf("what the kernel balances: %s", got)
		}
		if got := neighbour.getName(family, request{To: "http://front/", Fresh: true}); got != "v2" {
			t.Errorf("another workload: %s", got)
		}
	})

	ca := newAuthority(t)
	g := startGateway(s, ca)
	outside, node := s.unmeshed("outside"), s.newClient("inside", s.hostPod("inside"))
	families(t, func(t *testing.T, family int) {
		g.serves(t, outside, family, ca)
		g.serves(t, node, family, ca)
	})
	var status struct {
		Envoy struct{ Epoch, Restarts, Astray int }
	}
	if err := w.Ask(t.Context(), &status, "status"); err != nil {
		t.Fatal(err)
	}
	if e := status.Envoy; e.Astray+e.Epoch+e.Restarts != 0 {
		t.Errorf("Envoy was told of the workload, and went astray: %+v", e)
	}

	if err := thief.Kill(); err != nil {
		t.Fatal(err)
	}
	families(t, func(t *testing.T, family int) {
		s.eventually("the workload is served", wantName(func() string { return c.getName(family, request{To: "http://front/", Fresh: true}) }, "v2"))
	})
	for _, p := range s.status().Problems {
		if p.Object.Name == "taken" {
			t.Errorf("still a problem: %+v", p)
		}
	}
}

// TestWithoutIPv6 proves that a workload whose network namespace has IPv6 switched
// off is served over IPv4.
func TestWithoutIPv6(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.frontToV2()
	c := s.unmeshed("four")
	if out, err := c.Run(t.Context(), "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.lo.disable_ipv6=1"); err != nil {
		t.Fatal(err, out)
	}
	s.apply("workload-four", c.WorkloadYAML(s.ns, "four"))
	s.settle()
	s.eventually("over IPv4", wantName(func() string { return c.getName(4, request{To: "http://front/", Fresh: true}) }, "v2"))
	if got := c.tcpName(4, "front:70"); got != "front" {
		t.Errorf("what the kernel balances: %s", got)
	}
	if got := c.getName(6, request{To: "http://front/", Fresh: true}); !strings.HasPrefix(got, "error") {
		t.Errorf("over IPv6, which is switched off: %s", got)
	}
	for _, p := range s.status().Problems {
		if p.Object.Name == "four" {
			t.Errorf("a problem: %+v", p)
		}
	}
}
