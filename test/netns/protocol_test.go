package netns

import (
	"testing"

	"sluice.io/sluice/test/netns/lab"
)

// TestProtocols proves which HTTP version reaches the server for what the client
// speaks: by detection the same, by appProtocol the declared one.
func TestProtocols(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	pod := s.server("server")
	for name, app := range map[string]string{"auto": "", "http": "http", "h2c": "kubernetes.io/h2c", "ws": "kubernetes.io/ws"} {
		s.declare(&lab.Service{
			Namespace: s.ns, Name: name, VIP: s.VIP(), Endpoints: []*lab.Pod{pod},
			Ports: []lab.Port{{Port: 80, Target: 8080, AppProtocol: app}},
		})
		s.apply("route-"+name, plainRoute(name))
	}
	c := s.client("client")
	s.settle()
	families(t, func(t *testing.T, family int) {
		for _, tc := range []struct {
			service string
			h2c     bool
			want    string
		}{
			{"auto", false, "HTTP/1.1"},
			{"auto", true, "HTTP/2.0"},
			{"http", false, "HTTP/1.1"},
			{"h2c", true, "HTTP/2.0"},
			{"h2c", false, "HTTP/2.0"},
			{"ws", false, "HTTP/1.1"},
		} {
			a := c.get(t, family, request{To: "http://" + tc.service + "/", H2C: tc.h2c})
			if a.Seen == nil || a.Seen.Proto != tc.want {
				t.Errorf("%s, client speaks HTTP/2 %t: server saw %+v, want %s", tc.service, tc.h2c, a.Seen, tc.want)
			}
			if wantClient := map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}[tc.h2c]; a.Proto != wantClient {
				t.Errorf("%s: the client was answered in %s, want %s", tc.service, a.Proto, wantClient)
			}
		}
	})
}

// TestLongBodies proves that bodies larger than any buffer pass both ways, and
// that an answer that comes in pieces arrives piece by piece.
func TestLongBodies(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front")
	c := s.client("client")
	s.apply("route", plainRoute("front"))
	s.settle()
	body := make([]byte, 1<<20-1)
	for i := range body {
		body[i] = 'a' + byte(i%26)
	}
	families(t, func(t *testing.T, family int) {
		for _, h2c := range []bool{false, true} {
			a := c.get(t, family, request{To: "http://front/", Method: "POST", Body: string(body), H2C: h2c})
			if a.Seen == nil || a.Seen.Body != string(body) {
				t.Errorf("a body of %d bytes did not come back (HTTP/2 %t): %d", len(body), h2c, a.Code)
			}
		}
		a := c.get(t, family, request{To: "http://front/stream/5/100ms"})
		if a.Body != "0\n1\n2\n3\n4\n" {
			t.Errorf("the pieces were %q", a.Body)
		}
	})
}

// TestConsumerRoutes proves that a route in the client's own namespace, for
// another namespace's service, binds clients of that namespace and nobody else,
// and that it replaces the producer's route for them.
func TestConsumerRoutes(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front", "v1", "v2", "kernel")
	const shops = "-shop"
	owner := s.client("owner")
	shop := s.clientIn(s.ns+shops, "shop")
	other := s.clientIn(s.ns+"-other", "other")
	// A namespace whose name starts with the shop's must not be taken for it.
	alike := s.clientIn(s.ns+shops+"s", "alike")
	s.apply("producer", httpRoute("producer", "front", `
  - backendRefs: [{name: v1, port: 80}]
`))
	consumer := func(service string) string {
		return `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: consumer-` + service + `, namespace: $NS` + shops + `}
spec:
  parentRefs: [{group: "", kind: Service, namespace: $NS, name: ` + service + `, port: 80}]
  rules:
  - backendRefs: [{namespace: $NS, name: v2, port: 80}]
`
	}
	s.apply("consumer", consumer("front"))
	s.apply("consumer-kernel", consumer("kernel"))
	s.apply("consumer-tcp", `
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: consumer, namespace: $NS`+shops+`}
spec:
  parentRefs: [{group: "", kind: Service, namespace: $NS, name: front, port: 70}]
  rules:
  - backendRefs: [{namespace: $NS, name: v2, port: 70}]
`)
	s.settle()
	families(t, func(t *testing.T, family int) {
		for _, tc := range []struct {
			client                  *client
			front, withoutProd, tcp string
		}{
			{owner, "v1", "kernel", "front"}, {shop, "v2", "v2", "v2"}, {other, "v1", "kernel", "front"}, {alike, "v1", "kernel", "front"},
		} {
			if got := tc.client.getName(family, request{To: "http://front/"}); got != tc.front {
				t.Errorf("%s reached %s, want %s", tc.client.name, got, tc.front)
			}
			if got := tc.client.getName(family, request{To: "http://kernel/"}); got != tc.withoutProd {
				t.Errorf("%s, where there is no producer route, reached %s, want %s", tc.client.name, got, tc.withoutProd)
			}
			if got := tc.client.tcpName(family, "front:70"); got != tc.tcp {
				t.Errorf("%s reached %s over TCP, want %s", tc.client.name, got, tc.tcp)
			}
		}
	})
}
