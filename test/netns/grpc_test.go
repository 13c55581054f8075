package netns

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"sluice.io/sluice/test/apps/echo"
	"sluice.io/sluice/test/netns/lab"
)

// call makes a unary call with "name: value" metadata and returns the name of
// the server that answered, or the code.
func call(ctx context.Context, g *echo.GRPCClient, method string, md ...string) string {
	ctx, cancel := context.WithTimeout(withMetadata(ctx, md...), 10*time.Second)
	defer cancel()
	seen, err := g.Call(ctx, method, "hello")
	if err != nil {
		return status.Code(err).String()
	}
	return seen.Name
}

func withMetadata(ctx context.Context, md ...string) context.Context {
	for _, m := range md {
		name, value, _ := strings.Cut(m, ":")
		ctx = metadata.AppendToOutgoingContext(ctx, name, strings.TrimSpace(value))
	}
	return ctx
}

func TestGRPCMatches(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front", "service", "method", "exact", "regex", "header")
	c := s.client("client")
	s.apply("route", `
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: calls, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: front, port: 90}]
  rules:
  - matches: [{method: {service: sluice.test.Echo}}]
    backendRefs: [{name: service, port: 90}]
  - matches: [{method: {service: sluice.test.Echo, method: Put}}]
    backendRefs: [{name: exact, port: 90}]
  - matches: [{method: {service: sluice.test.Echo}, headers: [{name: version, value: beta}]}]
    backendRefs: [{name: header, port: 90}]
  - matches: [{method: {type: RegularExpression, service: "sluice\\.test\\.Ot.*", method: "G.t"}}]
    backendRefs: [{name: regex, port: 90}]
`)
	s.settle()
	families(t, func(t *testing.T, family int) {
		g := c.grpc(t, family, "front:90")
		for _, tc := range []struct {
			method, header, want string
		}{
			{echo.GRPCService + "/Get", "", "service"},
			{echo.GRPCService + "/Put", "", "exact"},
			{echo.GRPCService + "/Get", "version: beta", "header"},
			{echo.GRPCService + "/Put", "version: beta", "exact"},
			{echo.GRPCOtherService + "/Get", "", "regex"},
			{echo.GRPCOtherService + "/Put", "", codes.Unimplemented.String()},
		} {
			var md []string
			if tc.header != "" {
				md = append(md, tc.header)
			}
			if got := call(t.Context(), g, tc.method, md...); got != tc.want {
				t.Errorf("%s %q went to %s, want %s", tc.method, tc.header, got, tc.want)
			}
		}
	})
}

// TestGRPCMethodOnly proves that a match without a service takes the method of all services.
func TestGRPCMethodOnly(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front", "get")
	c := s.client("client")
	s.apply("route", `
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: calls, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: front, port: 90}]
  rules:
  - matches: [{method: {method: Get}}]
    backendRefs: [{name: get, port: 90}]
  - backendRefs: [{name: front, port: 90}]
`)
	s.settle()
	families(t, func(t *testing.T, family int) {
		g := c.grpc(t, family, "front:90")
		for method, want := range map[string]string{
			echo.GRPCService + "/Get": "get", echo.GRPCOtherService + "/Get": "get", echo.GRPCService + "/Put": "front",
		} {
			if got := call(t.Context(), g, method); got != want {
				t.Errorf("%s went to %s, want %s", method, got, want)
			}
		}
	})
}

func TestGRPCFilters(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front", "copy")
	c := s.client("client")
	s.apply("route", `
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: filters, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: front, port: 90}]
  rules:
  - filters:
    - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Set, value: new}], remove: [x-remove]}}
    - {type: ResponseHeaderModifier, responseHeaderModifier: {add: [{name: X-Back, value: here}]}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: copy, port: 90}}}
    backendRefs: [{name: front, port: 90}]
`)
	s.settle()
	families(t, func(t *testing.T, family int) {
		key := fmt.Sprintf("grpc-mirror-%d", family)
		ctx := withMetadata(t.Context(), "x-set: old", "x-remove: gone", "x-keep: kept", "x-key: "+key)
		var back metadata.MD
		seen, err := c.grpc(t, family, "front:90").Call(ctx, echo.GRPCService+"/Get", "hello", grpc.Header(&back))
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprint(seen.Header("X-Set"), seen.Header("X-Remove"), seen.Header("X-Keep"), back.Get("x-back"))
		if got != "newkept[here]" {
			t.Errorf("filters gave %s", got)
		}
		s.eventually("the mirror's copy", func() error {
			if n := c.mirrored(t, "copy", key); n != 1 {
				return fmt.Errorf("the mirror saw %d calls, want 1", n)
			}
			return nil
		})
	})
}

// TestGRPCBackends proves per-backend filters and session persistence of calls.
func TestGRPCBackends(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front", "v1", "v2")
	pods := s.servers("a", "b", "c")
	s.service("many", pods["a"], pods["b"], pods["c"])
	c := s.client("client")
	s.apply("route", `
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: backends, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: front, port: 90}]
  rules:
  - matches: [{method: {method: Put}}]
    sessionPersistence: {sessionName: X-Session, type: Header}
    backendRefs: [{name: many, port: 90}]
  - backendRefs:
    - name: v1
      port: 90
      filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Backend, value: one}]}}]
    - {name: v2, port: 90}
`)
	s.settle()
	families(t, func(t *testing.T, family int) {
		g := c.grpc(t, family, "front:90")
		got := tally(60, func() string {
			seen, err := g.Call(t.Context(), echo.GRPCService+"/Get", "hello")
			if err != nil {
				return err.Error()
			}
			return seen.Name + " " + seen.Header("X-Backend")
		})
		if len(got) != 2 || got["v1 one"] == 0 || got["v2 "] == 0 {
			t.Errorf("filters of backends gave %s", counts(got))
		}
		var back metadata.MD
		first, err := g.Call(t.Context(), echo.GRPCService+"/Put", "hello", grpc.Header(&back))
		if err != nil || len(back.Get("x-session")) != 1 {
			t.Fatalf("%v, %v: want a session", err, back)
		}
		session := "x-session: " + back.Get("x-session")[0]
		if got := tally(20, func() string { return call(t.Context(), g, echo.GRPCService+"/Put", session) }); got[first.Name] != 20 {
			t.Errorf("calls of one session went to %s, want %s", counts(got), first.Name)
		}
		if got := tally(60, func() string { return call(t.Context(), g, echo.GRPCService+"/Put") }); len(got) != 3 {
			t.Errorf("calls without a session all went to %s", counts(got))
		}
	})
}

// TestGRPCDetected proves that gRPC needs no appProtocol: neither for a GRPCRoute
// nor for an HTTPRoute, which routes calls by their path.
func TestGRPCDetected(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	for _, name := range []string{"grpc", "http", "v2"} {
		s.declare(&lab.Service{
			Namespace: s.ns, Name: name, VIP: s.VIP(), Endpoints: []*lab.Pod{s.server(name)},
			Ports: []lab.Port{{Port: 90, Target: 9090}},
		})
	}
	c := s.client("client")
	s.apply("routes", `
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: calls, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: grpc, port: 90}]
  rules:
  - backendRefs: [{name: v2, port: 90}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: calls, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: http, port: 90}]
  rules:
  - matches: [{path: {type: Exact, value: /sluice.test.Echo/Put}}]
    backendRefs: [{name: v2, port: 90}]
  - backendRefs: [{name: http, port: 90}]
`)
	s.settle()
	families(t, func(t *testing.T, family int) {
		byRoute, byPath := c.grpc(t, family, "grpc:90"), c.grpc(t, family, "http:90")
		for _, tc := range []struct {
			g            *echo.GRPCClient
			method, want string
		}{{byRoute, "/Get", "v2"}, {byPath, "/Put", "v2"}, {byPath, "/Get", "http"}} {
			if got := call(t.Context(), tc.g, echo.GRPCService+tc.method); got != tc.want {
				t.Errorf("%s over IPv%d went to %s, want %s", tc.method, family, got, tc.want)
			}
		}
	})
}

// TestGRPCStreaming proves that a stream through Envoy passes messages both ways
// as they come, and that two messages of one stream go to one server.
func TestGRPCStreaming(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	pods := s.servers("a", "b")
	s.service("front", pods["a"], pods["b"])
	c := s.client("client")
	s.apply("route", `
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: stream, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: front, port: 90}]
  rules:
  - backendRefs: [{name: front, port: 90}]
`)
	s.settle()
	families(t, func(t *testing.T, family int) {
		ctx, cancel := s.within(30 * time.Second)
		defer cancel()
		chat, err := c.grpc(t, family, "front:90").Chat(ctx, echo.GRPCService)
		if err != nil {
			t.Fatal(err)
		}
		var first string
		for i := range 50 {
			seen, err := chat.Say(fmt.Sprint(i))
			if err != nil {
				t.Fatalf("message %d: %v", i, err)
			}
			if first == "" {
				first = seen.Name
			}
			if seen.Name != first || seen.Body != fmt.Sprint(i) {
				t.Fatalf("message %d: %s answered %q, the first answer was from %s", i, seen.Name, seen.Body, first)
			}
		}
		if err := chat.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestGRPCErrors proves that failures that Envoy finds are gRPC statuses, not
// HTTP ones that a gRPC client can only guess at.
func TestGRPCErrors(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front")
	s.service("empty")
	c := s.client("client")
	s.apply("route", `
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: broken, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: front, port: 90}]
  rules:
  - matches: [{headers: [{name: to, value: missing}]}]
    backendRefs: [{name: missing, port: 90}]
  - matches: [{headers: [{name: to, value: empty}]}]
    backendRefs: [{name: empty, port: 90}]
  - matches: [{headers: [{name: to, value: front}]}]
    backendRefs: [{name: front, port: 90}]
`)
	s.settle()
	families(t, func(t *testing.T, family int) {
		g := c.grpc(t, family, "front:90")
		for header, want := range map[string]codes.Code{
			"to: missing": codes.Unavailable, "to: empty": codes.Unavailable, "to: nobody": codes.Unimplemented,
		} {
			if got := call(t.Context(), g, echo.GRPCService+"/Get", header); got != want.String() {
				t.Errorf("%s: %s, want %s", header, got, want)
			}
		}
		failing := fmt.Sprintf("test-fail: once-%d/1/5", family)
		if got := call(t.Context(), g, echo.GRPCService+"/Get", "to: front", failing); got != codes.NotFound.String() {
			t.Errorf("the server's own status arrived as %s, want %s", got, codes.NotFound)
		}
		if got := call(t.Context(), g, echo.GRPCService+"/Get", "to: front"); got != "front" {
			t.Errorf("%s, want front", got)
		}
	})
}
