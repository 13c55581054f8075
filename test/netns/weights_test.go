package netns

import (
	"testing"

	"sluice.io/sluice/test/apps/echo"
)

func TestHTTPWeights(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front", "v1", "v2", "v3")
	c := s.client("client")
	s.apply("route", `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: split, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: front, port: 80}]
  rules:
  - backendRefs:
    - {name: v1, port: 80, weight: 90}
    - {name: v2, port: 80, weight: 10}
    - {name: v3, port: 80, weight: 0}
`)
	s.settle()
	families(t, func(t *testing.T, family int) {
		assertShares(t, 400, map[string]int{"v1": 90, "v2": 10}, func() string {
			return c.getName(family, request{To: "http://front/"})
		})
	})
}

func TestGRPCWeights(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front", "v1", "v2")
	c := s.client("client")
	s.apply("route", `
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: split, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: front, port: 90}]
  rules:
  - backendRefs:
    - {name: v1, port: 90, weight: 3}
    - {name: v2, port: 90, weight: 1}
`)
	s.settle()
	families(t, func(t *testing.T, family int) {
		g := c.grpc(t, family, "front:90")
		assertShares(t, 300, map[string]int{"v1": 3, "v2": 1}, func() string {
			seen, err := g.Call(t.Context(), echo.GRPCService+"/Get", "hello")
			if err != nil {
				return err.Error()
			}
			return seen.Name
		})
	})
}

func TestTCPRouteWeights(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front", "v1", "v2", "v3")
	c := s.client("client")
	s.apply("route", `
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: split, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: front, port: 70}]
  rules:
  - backendRefs:
    - {name: v1, port: 70, weight: 8}
    - {name: v2, port: 70, weight: 2}
    - {name: v3, port: 70, weight: 0}
`)
	s.settle()
	families(t, func(t *testing.T, family int) {
		assertShares(t, 400, map[string]int{"v1": 8, "v2": 2}, func() string { return c.tcpName(family, "front:70") })
	})
}

func TestUDPRouteWeights(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front", "v1", "v2")
	c := s.client("client")
	s.apply("route", `
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: UDPRoute
metadata: {name: split, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: front, port: 53}]
  rules:
  - backendRefs:
    - {name: v1, port: 53, weight: 7}
    - {name: v2, port: 53, weight: 3}
`)
	s.settle()
	families(t, func(t *testing.T, family int) {
		assertShares(t, 300, map[string]int{"v1": 7, "v2": 3}, func() string { return c.udpName(family, "front:53") })
	})
}

// TestServiceBalances proves that a service without any route shares its
// connections between its endpoints, in the kernel.
func TestServiceBalances(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	pods := s.servers("a", "b", "c")
	s.service("plain", pods["a"], pods["b"], pods["c"])
	c := s.client("client")
	s.settle()
	even := map[string]int{"a": 1, "b": 1, "c": 1}
	families(t, func(t *testing.T, family int) {
		assertShares(t, 300, even, func() string { return c.tcpName(family, "plain:70") })
		assertShares(t, 300, even, func() string { return c.udpName(family, "plain:53") })
		assertShares(t, 300, even, func() string {
			return c.getName(family, request{To: "http://plain/", Fresh: true})
		})
	})
}

// TestEndpointShares proves that Envoy spreads one backend's requests over its endpoints.
func TestEndpointShares(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	pods := s.servers("a", "b")
	s.service("front", pods["a"], pods["b"])
	c := s.client("client")
	s.apply("route", plainRoute("front"))
	s.settle()
	families(t, func(t *testing.T, family int) {
		got := tally(200, func() string { return c.getName(family, request{To: "http://front/"}) })
		if len(got) != 2 || got["a"] < 40 || got["b"] < 40 {
			t.Errorf("want both endpoints to serve: %s", counts(got))
		}
	})
}

// plainRoute is an HTTPRoute that sends all of a service's requests to itself,
// through Envoy.
func plainRoute(service string) string {
	return `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: plain-` + service + `, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: ` + service + `, port: 80}]
  rules:
  - backendRefs: [{name: ` + service + `, port: 80}]
`
}
