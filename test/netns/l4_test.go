package netns

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"sluice.io/sluice/test/apps/echo"
	"sluice.io/sluice/test/netns/lab"
)

// TestTCPSockets proves that sockets of all kinds work with a service that the
// kernel balances and with one that goes through Envoy, and that the application
// sees what it would see without a mesh: getpeername is what it dialled.
func TestTCPSockets(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	pod := s.server("server")
	kernel, routed := s.service("kernel", pod), s.service("routed", pod)
	s.apply("route", plainRoute("routed"))
	c := s.client("client")
	s.settle()
	families(t, func(t *testing.T, family int) {
		for _, mode := range []string{"plain", "mapped", "nonblock", "tfo", "tfo-sendto", "mptcp"} {
			if mode == "mapped" && family == 6 {
				continue
			}
			t.Run("kernel "+mode, func(t *testing.T) { checkSocket(t, c, mode, kernel.On(family, 70), "tcp") })
			t.Run("Envoy "+mode, func(t *testing.T) { checkSocket(t, c, mode, routed.On(family, 80), "tcp", "-http") })
		}
	})
}

func checkSocket(t *testing.T, c *client, mode string, to netip.AddrPort, role ...string) {
	t.Helper()
	r := c.sock(t, append(role, "-mode", mode, to.String())...)[0]
	if r.Err != "" || r.Name != "server" {
		t.Fatalf("%+v", r)
	}
	want := to.String()
	if mode == "mapped" {
		want = mapped(want)
	}
	if r.Peername != want {
		t.Errorf("getpeername is %s, want %s", r.Peername, want)
	}
	family := 4
	if to.Addr().Is6() {
		family = 6
	}
	assertFrom(t, r, c.Addr(family))
	if mode != "mptcp" && r.OriginalDst != "ENOENT" && r.OriginalDst != "ENOPROTOOPT" {
		t.Errorf("SO_ORIGINAL_DST is %s, want the kernel's own answer", r.OriginalDst)
	}
}

func assertFrom(t *testing.T, r echo.SockReport, want netip.Addr) {
	t.Helper()
	remote, err := netip.ParseAddrPort(r.Remote)
	if err != nil || remote.Addr().Unmap() != want {
		t.Errorf("%s: the server saw %s, want %s", r.Step, r.Remote, want)
	}
}

func mapped(addrPort string) string {
	ap := netip.MustParseAddrPort(addrPort)
	return fmt.Sprintf("[::ffff:%s]:%d", ap.Addr(), ap.Port())
}

// TestUDPSockets takes UDP sockets through what applications do with them:
// connected, unconnected, connected anew, disconnected, v4-mapped. Answers come
// from the address that the client sent to.
func TestUDPSockets(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("one", "two")
	c := s.client("client")
	s.settle()
	for _, family := range []int{4, 6} {
		one, two := s.services["one"].On(family, 53).String(), s.services["two"].On(family, 53).String()
		args := []string{"udp"}
		if family == 6 {
			args = append(args, "-6")
		}
		t.Run(fmt.Sprintf("IPv%d", family), func(t *testing.T) {
			checkUDP(t, c.sock(t, append(args,
				"sendto="+one, "sendto="+two, "sendto="+one,
				"connect="+one, "send", "connect="+two, "send", "sendto="+one, "disconnect", "sendto="+two)...),
				[]udpWant{
					{name: "one", from: one}, {name: "two", from: two}, {name: "one", from: one},
					{peer: one}, {name: "one", from: one, peer: one}, {peer: two}, {name: "two", from: two, peer: two},
					{name: "", peer: two, err: true}, {peer: "ENOTCONN"},
					// Linux itself keeps an IPv6 socket from hearing anyone but its last peer.
					{name: "two", from: two},
				}, c.Addr(family))
		})
	}
	t.Run("mapped", func(t *testing.T) {
		one := s.services["one"].On(4, 53).String()
		checkUDP(t, c.sock(t, "udp", "-6", "sendto="+one, "connect="+one, "send"),
			[]udpWant{{name: "one", from: mapped(one)}, {peer: mapped(one)}, {name: "one", from: mapped(one)}}, c.V4)
	})
}

// udpWant is what a step of a UDP socket must give; empty fields say nothing.
type udpWant struct {
	name, from, peer string
	// err tells that a socket connected elsewhere hears no answer from here.
	err bool
}

func checkUDP(t *testing.T, reports []echo.SockReport, want []udpWant, client netip.Addr) {
	t.Helper()
	if len(reports) != len(want) {
		t.Fatalf("%d steps, want %d", len(reports), len(want))
	}
	for i, r := range reports {
		w := want[i]
		if (r.Err != "") != w.err || r.Name != w.name || w.from != "" && r.From != w.from || w.peer != "" && r.Peername != w.peer {
			t.Errorf("step %d: %+v, want %+v", i, r, w)
		}
		if r.Name != "" {
			assertFrom(t, r, client)
		}
	}
}

// TestUntouched proves what the mesh leaves alone: headless services, pods'
// addresses dialled directly, clients that are not in the mesh, ports that a
// service doesn't have.
func TestUntouched(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front", "other")
	pod := s.services["front"].Endpoints[0]
	s.apply("route", httpRoute("away", "front", `
  - backendRefs: [{name: other, port: 80}]
`))
	headless := &lab.Service{Namespace: s.ns, Name: "headless", Headless: true, Ports: usual(), Endpoints: []*lab.Pod{pod}}
	s.declare(headless)
	s.apply("route-headless", httpRoute("headless", "headless", `
  - backendRefs: [{name: other, port: 80}]
`))
	c, outside := s.client("client"), s.unmeshed("outside")
	families(t, func(t *testing.T, family int) {
		// What the outside client meets before the services exist for it.
		nobody := s.VIP().Addr(family)
		_, old := outside.tcp(family, netip.AddrPortFrom(nobody, 80).String())
		if old == nil {
			t.Fatal("an address that nobody has answers")
		}
		s.settle()
		if got := c.getName(family, request{To: "http://front/"}); got != "other" {
			t.Fatalf("the route is not in force: %s", got)
		}
		direct := "http://" + netip.AddrPortFrom(pod.Addr(family), 8080).String() + "/"
		for _, from := range []*client{c, outside} {
			if got := from.getName(family, request{To: direct}); got != "front" {
				t.Errorf("%s dialled the pod itself and reached %s", from.name, got)
			}
			if got := from.tcpName(family, netip.AddrPortFrom(pod.Addr(family), 7000).String()); got != "front" {
				t.Errorf("%s dialled the pod itself over TCP and reached %s", from.name, got)
			}
		}
		for _, port := range []int{80, 70} {
			_, err := outside.tcp(family, s.services["front"].On(family, port).String())
			if err == nil || lastWords(err) != lastWords(old) {
				t.Errorf("outside the mesh, port %d: %v, want what it was: %v", port, err, old)
			}
		}
		if _, err := c.tcp(family, s.services["front"].On(family, 81).String()); err == nil || lastWords(err) != lastWords(old) {
			t.Errorf("a port that the service doesn't have: %v, want what it was: %v", err, old)
		}
	})
}

// lastWords is the errno's text of an error of connect.
func lastWords(err error) string {
	s := err.Error()
	return s[strings.LastIndex(s, ":")+1:]
}

// TestManyEndpoints proves that a service with more endpoints than fit into any
// one map entry spreads over all of them, and that changing them works.
func TestManyEndpoints(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	real := s.server("real")
	svc := s.service("many", real)
	c := s.client("client")
	if err := c.Unreachable(netip.MustParsePrefix("10.78.0.0/16")); err != nil {
		t.Fatal(err)
	}
	s.apply("slice", manyEndpoints(svc.Name, 99))
	s.settle()
	assertShares(t, 1500, map[string]int{"real": 1, "error": 99}, func() string {
		return strings.SplitN(c.tcpName(4, "many:70"), ":", 2)[0]
	})
	s.remove("slice")
	s.settle()
	assertShares(t, 50, map[string]int{"real": 1}, func() string { return c.tcpName(4, "many:70") })
}

// manyEndpoints is an EndpointSlice of addresses that nobody has.
func manyEndpoints(service string, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %[1]s-many, namespace: $NS, labels: {kubernetes.io/service-name: %[1]s}}
addressType: IPv4
ports: [{name: tcp, protocol: TCP, port: 7000}]
endpoints:
`, service)
	for i := range n {
		fmt.Fprintf(&b, "- {addresses: [\"10.78.%d.%d\"]}\n", i/250, i%250+1)
	}
	return b.String()
}
