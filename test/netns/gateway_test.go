package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"sluice.io/sluice/test/netns/lab"
)

// kinds are listeners of each kind.
const kinds = `
- {name: http, port: 80, protocol: HTTP}
- name: first
  port: 443
  protocol: HTTPS
  hostname: first.example.com
  tls: {certificateRefs: [{name: first}]}
- name: second
  port: 443
  protocol: HTTPS
  hostname: "*.second.example.com"
  tls: {certificateRefs: [{name: second}]}
- name: through
  port: 443
  protocol: TLS
  hostname: through.example.com
  tls: {mode: Passthrough}
- {name: tcp, port: 70, protocol: TCP}
- {name: udp, port: 53, protocol: UDP}
`

// startGateway declares a Gateway with each kind of listener, and routes to
// servers of its own: web and other for HTTP, through for TLS.
func startGateway(s *space, ca *authority) *gateway {
	s.t.Helper()
	s.secret(ca, "first", "first", "first.example.com")
	s.secret(ca, "second", "second", "*.second.example.com")
	s.each("web", "other")
	through := &lab.Service{
		Namespace: s.ns, Name: "through", VIP: s.VIP(), Ports: []lab.Port{{Name: "https", Port: 443, Target: 8443}},
		Endpoints: []*lab.Pod{s.tlsServer(ca, "through", "through.example.com")},
	}
	s.declare(through)
	g := s.gateway("front", kinds)
	s.apply("routes", toGateway("HTTPRoute", "web", "front", "http", "", "{name: web, port: 80}")+
		toGateway("HTTPRoute", "other", "front", "http", "other.example.com", "{name: other, port: 80}")+
		toGateway("HTTPRoute", "first", "front", "first", "", "{name: web, port: 80}")+
		toGateway("HTTPRoute", "second", "front", "second", "", "{name: other, port: 80}")+
		toGateway("TLSRoute", "through", "front", "through", "through.example.com", "{name: through, port: 443}")+
		toGateway("TCPRoute", "tcp", "front", "tcp", "", "{name: web, port: 70}")+
		toGateway("UDPRoute", "udp", "front", "udp", "", "{name: web, port: 53}"))
	s.settle()
	return g
}

// TestGateway proves that a gateway serves each protocol at its own addresses,
// over both families, to a pod that is in no mesh and to a process of the node;
// that backends learn the client's address where the protocol has a place for it; and
// that ports which are no gateway's stay whose they are.
func TestGateway(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	ca := newAuthority(t)
	g := startGateway(s, ca)
	if _, err := s.hostPod("local").Serve("--name", "local", "--http", ":81,:80", "--grpc", "", "--tcp", "", "--udp", ""); err != nil {
		t.Fatal(err)
	}
	pod := s.unmeshed("outside")
	node := s.newClient("inside", s.hostPod("inside"))
	families(t, func(t *testing.T, family int) {
		for _, c := range []*client{pod, node} {
			g.serves(t, c, family, ca)
			g.isGuarded(t, c, family)
		}
		g.tellsWhoDialled(t, pod, family)
		g.showsTheNode(t, pod, family, ca, node.V4)
	})
}

// serves wants each kind of listener to lead to its own server.
func (g *gateway) serves(t *testing.T, c *client, family int, ca *authority) {
	t.Helper()
	for _, v := range []struct{ to, port, want string }{
		{"http://any.example.com/", "80", "web"},
		{"http://other.example.com/", "80", "other"},
		{"https://first.example.com/", "443", "first web"},
		{"https://a.second.example.com/", "443", "second other"},
		{"https://through.example.com/", "443", "through through"},
	} {
		for _, h2 := range []bool{false, true} {
			to := visit{to: v.to, at: g.at(family, v.port), ca: ca, h2: h2}
			get := c.visitName
			if strings.HasPrefix(v.to, "https") {
				get = c.certificate
			}
			if got := get(to); got != v.want {
				t.Errorf("%s from %s (HTTP/2: %t): %s, want %s", v.to, c.name, h2, got, v.want)
			}
		}
	}
	if got := c.certificate(visit{to: "https://nobody.example.com/", at: g.on(family, 443), ca: ca}); !strings.HasPrefix(got, "error") {
		t.Errorf("a server name that no listener has: %s", got)
	}
	if got := c.tcpName(family, g.on(family, 70)); got != "web" {
		t.Errorf("TCP from %s: %s", c.name, got)
	}
	if got := c.udpName(family, g.on(family, 53)); got != "web" {
		t.Errorf("UDP from %s: %s", c.name, got)
	}
}

func (g *gateway) at(family int, port string) string {
	var n uint16
	_, _ = fmt.Sscan(port, &n)
	return g.on(family, n)
}

// isGuarded wants ports that are no gateway's to be untouched, and the gateway's
// to be the gateway's although a process listens there on all addresses.
func (g *gateway) isGuarded(t *testing.T, c *client, family int) {
	t.Helper()
	nodes := g.s.hostAddr(family)
	for at, want := range map[string]string{g.on(family, 81): "local", nodes + ":81": "local", nodes + ":80": "local", g.on(family, 80): "web"} {
		if got := c.visitName(visit{to: "http://any.example.com/", at: at}); got != want {
			t.Errorf("%s from %s: %s, want %s", at, c.name, got, want)
		}
	}
	if _, err := c.tcp(family, g.on(family, 82)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a port that nobody has, from %s: %v", c.name, err)
	}
}

// hostAddr is the node's own address, as it stands before a port.
func (s *space) hostAddr(family int) string {
	p, err := s.HostPod(fmt.Sprintf("addr-%d", spaces.Add(1)))
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = p.Delete() }()
	if family == 6 {
		return "[" + p.V6.String() + "]"
	}
	return p.V4.String()
}

func (g *gateway) tellsWhoDialled(t *testing.T, c *client, family int) {
	t.Helper()
	a, _, err := c.visit(visit{to: "http://any.example.com/", at: g.on(family, 80)})
	if err != nil {
		t.Fatal(err)
	}
	if got := a.Seen.Header("X-Forwarded-For"); got != c.Addr(family).String() {
		t.Errorf("the backend is told that %q dialled, want %s", got, c.Addr(family))
	}
}

// showsTheNode wants backends to which bytes are carried as they are to see the node,
// and not the client: docs say so.
func (g *gateway) showsTheNode(t *testing.T, c *client, family int, ca *authority, node netip.Addr) {
	t.Helper()
	saw := map[string]netip.Addr{}
	conn, err := c.tcp(family, g.on(family, 70))
	if err != nil {
		t.Fatal(err)
	}
	saw["TCP"] = conn.Remote.Addr()
	_ = conn.Close()
	d, err := c.udp(family, g.on(family, 53))
	if err != nil {
		t.Fatal(err)
	}
	saw["UDP"] = d.Remote.Addr()
	a, _, err := c.visit(visit{to: "https://through.example.com/", at: g.on(family, 443), ca: ca})
	if err != nil || a.Seen == nil {
		t.Fatalf("TLS: %+v %v", a, err)
	}
	saw["TLS that passes through"] = a.Seen.RemoteIP()
	for over, got := range saw {
		if got != node {
			t.Errorf("%s: the backend sees %s, want the node's %s", over, got, node)
		}
	}
}

// TestGatewayOfAllAddresses proves that a Gateway without addresses is served at
// every address of the node, also at the loopback.
func TestGatewayOfAllAddresses(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("web")
	s.gatewayClass()
	s.apply("gateway", `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: all, namespace: $NS}
spec:
  gatewayClassName: sluice
  listeners: [{name: http, port: 8088, protocol: HTTP}, {name: udp, port: 8053, protocol: UDP}]
`+toGateway("HTTPRoute", "web", "all", "http", "", "{name: web, port: 80}")+
		toGateway("UDPRoute", "udp", "all", "udp", "", "{name: web, port: 53}"))
	s.settle()
	pod, node := s.unmeshed("outside"), s.newClient("inside", s.hostPod("inside"))
	for family, loopback := range map[int]string{4: "127.0.0.1", 6: "[::1]"} {
		for _, c := range []*client{pod, node} {
			if got := c.visitName(visit{to: "http://any/", at: s.hostAddr(family) + ":8088"}); got != "web" {
				t.Errorf("IPv%d from %s: %s", family, c.name, got)
			}
			if got := c.udpName(family, s.hostAddr(family)+":8053"); got != "web" {
				t.Errorf("UDP over IPv%d from %s: %s", family, c.name, got)
			}
		}
		if got := node.visitName(visit{to: "http://any/", at: loopback + ":8088"}); got != "web" {
			t.Errorf("IPv%d at the loopback: %s", family, got)
		}
	}
}
