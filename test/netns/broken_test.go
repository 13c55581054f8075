package netns

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestInvalidBackends proves that a backendRef that names nothing takes its
// share of the traffic and fails it: 500 from Envoy, refused by the kernel.
func TestInvalidBackends(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front", "v1")
	c := s.client("client")
	s.apply("http", httpRoute("some", "front", `
  - matches: [{path: {value: /all}}]
    backendRefs: [{name: missing, port: 80}]
  - matches: [{path: {value: /half}}]
    backendRefs: [{name: missing, port: 80}, {name: v1, port: 80}]
  - matches: [{path: {value: /no-port}}]
    backendRefs: [{name: v1, port: 81}]
  - matches: [{path: {value: /kind}}]
    backendRefs: [{group: example.org, kind: Thing, name: v1, port: 80}]
  - matches: [{path: {value: /zero}}]
    backendRefs: [{name: v1, port: 80, weight: 0}]
  - matches: [{path: {value: /none}}]
  - matches: [{path: {value: /redirect}}]
    filters: [{type: RequestRedirect, requestRedirect: {hostname: example.org}}]
`))
	s.apply("tcp", `
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: half, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: front, port: 70}]
  rules:
  - backendRefs: [{name: missing, port: 70}, {name: v1, port: 70}]
`)
	s.settle()
	families(t, func(t *testing.T, family int) {
		for path, want := range map[string]string{
			"/all": "500", "/no-port": "500", "/kind": "500", "/zero": "500", "/none": "500", "/redirect": "302",
		} {
			if got := c.getName(family, request{To: "http://front" + path}); got != want {
				t.Errorf("%s: %s, want %s", path, got, want)
			}
		}
		assertShares(t, 200, map[string]int{"500": 1, "v1": 1}, func() string {
			return c.getName(family, request{To: "http://front/half"})
		})
		assertShares(t, 200, map[string]int{"refused": 1, "v1": 1}, func() string {
			conn, err := c.tcp(family, "front:70")
			if refused(err) {
				return "refused"
			}
			if err != nil {
				return err.Error()
			}
			defer func() { _ = conn.Close() }()
			return conn.Name
		})
	})
}

// TestNoEndpoints proves that a service without ready endpoints is refused at
// once by the kernel, and answered with 503 by Envoy.
func TestNoEndpoints(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.service("kernel")
	s.service("routed")
	s.apply("route", plainRoute("routed"))
	c := s.client("client")
	s.settle()
	families(t, func(t *testing.T, family int) {
		refusedAtOnce(t, c.sock(t, "tcp", "-mode", "nonblock", s.services["kernel"].On(family, 70).String())[0])
		udp := []string{"udp", "connect=" + s.services["kernel"].On(family, 53).String()}
		if family == 6 {
			udp = slices.Insert(udp, 1, "-6")
		}
		refusedAtOnce(t, c.sock(t, udp...)[0])
		if got := c.getName(family, request{To: "http://routed/"}); got != "503" {
			t.Errorf("through Envoy: %s, want 503", got)
		}
	})
}

// TestUnreachableEndpoint proves that an endpoint at which nobody listens is the
// client's failure as it is without a mesh: refused, or 503.
func TestUnreachableEndpoint(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	silent := s.pod("silent")
	s.service("kernel", silent)
	s.service("routed", silent)
	s.apply("route", plainRoute("routed"))
	c := s.client("client")
	s.settle()
	families(t, func(t *testing.T, family int) {
		if _, err := c.tcp(family, "kernel:70"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("TCP: %v, want connection refused", err)
		}
		if got := c.getName(family, request{To: "http://routed/"}); got != "503" {
			t.Errorf("through Envoy: %s, want 503", got)
		}
	})
}

// TestEndpointConditions proves which endpoints serve: the ready ones; when none
// is, those that are ending but still serve.
func TestEndpointConditions(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	pods := s.servers("ready", "ending", "unready", "gone")
	for _, name := range []string{"kernel", "routed"} {
		s.service(name)
	}
	s.apply("route", plainRoute("routed"))
	c := s.client("client")
	write := func(ready bool) {
		t.Helper()
		var yaml strings.Builder
		for _, service := range []string{"kernel", "routed"} {
			fmt.Fprintf(&yaml, `---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %[1]s-conditions, namespace: $NS, labels: {kubernetes.io/service-name: %[1]s}}
addressType: IPv4
ports: [{name: tcp, port: 7000}, {name: http, port: 8080}]
endpoints:
- {addresses: ["%[2]s"], conditions: {ready: %[6]t, serving: %[6]t, terminating: false}}
- {addresses: ["%[3]s"], conditions: {ready: false, serving: true, terminating: true}}
- {addresses: ["%[4]s"], conditions: {ready: false, serving: false, terminating: false}}
- {addresses: ["%[5]s"], conditions: {ready: false, serving: false, terminating: true}}
`, service, pods["ready"].V4, pods["ending"].V4, pods["unready"].V4, pods["gone"].V4, ready)
		}
		s.apply("slices", yaml.String())
		s.settle()
	}
	for _, ready := range []bool{true, false} {
		write(ready)
		want := map[string]int{map[bool]string{true: "ready", false: "ending"}[ready]: 1}
		assertShares(t, 20, want, func() string { return c.tcpName(4, "kernel:70") })
		assertShares(t, 20, want, func() string { return c.getName(4, request{To: "http://routed/", Fresh: true}) })
	}
}
