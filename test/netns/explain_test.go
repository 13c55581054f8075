package netns

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// explanation is the part of `sluice explain -o json` that tests look at.
type explanation struct {
	Client struct {
		Meshed bool `json:"meshed"`
	} `json:"client"`
	Handler string `json:"handler"`
	Rule    *struct {
		Origin struct {
			Object objectRef `json:"object"`
			Rule   int       `json:"rule"`
			File   string    `json:"file"`
			Line   int       `json:"line"`
		} `json:"origin"`
	} `json:"rule"`
	Backends []struct {
		Backend struct {
			Name string `json:"name"`
		} `json:"backend"`
		Weight    int      `json:"weight"`
		Endpoints []string `json:"endpoints"`
	} `json:"backends"`
	Outcome struct {
		Verdict string `json:"verdict"`
		Status  int    `json:"status"`
	} `json:"outcome"`
}

// TestExplain asks sluice what would become of requests and connections, then
// makes them, and compares: the handler, the set of servers, and the file and
// line of the rule.
func TestExplain(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front", "v1", "v2", "v3")
	s.service("empty")
	c := s.client("client")
	shop := s.clientIn(s.ns+"-shop", "shop")
	outside := s.unmeshed("outside")
	routes := s.apply("routes", `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: cart, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: front, port: 80}]
  rules:
  - matches: [{path: {value: /items}, headers: [{name: version, value: beta}]}]
    backendRefs: [{name: v2, port: 80}]
  - matches: [{path: {value: /items}}]
    backendRefs:
    - {name: v1, port: 80, weight: 3}
    - {name: v2, port: 80, weight: 1}
  - matches: [{path: {value: /gone}}]
    filters: [{type: RequestRedirect, requestRedirect: {hostname: example.org, statusCode: 301}}]
  - matches: [{path: {value: /broken}}]
    backendRefs: [{name: nobody, port: 80}]
  - matches: [{path: {value: /empty}}]
    backendRefs: [{name: empty, port: 80}]
  - matches: [{path: {value: /q}, queryParams: [{name: k, value: v}], method: POST}]
    backendRefs: [{name: v3, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: bytes, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: front, port: 70}]
  rules:
  - backendRefs: [{name: v2, port: 70}, {name: v3, port: 70}]
`)
	consumer := s.apply("consumer", `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: mine, namespace: $NS-shop}
spec:
  parentRefs: [{group: "", kind: Service, namespace: $NS, name: front, port: 80}]
  rules:
  - backendRefs: [{namespace: $NS, name: v3, port: 80}]
`)
	s.settle()

	type want struct {
		handler string
		// servers that may answer; or a status.
		servers []string
		status  int
		file    string
		line    int
	}
	for _, tc := range []struct {
		name string
		from *client
		request
		want want
	}{
		{"header match", c, request{To: "/items/1", Header: []string{"Version: beta"}}, want{"envoy", []string{"v2"}, 0, routes, 7}},
		{"split", c, request{To: "/items"}, want{"envoy", []string{"v1", "v2"}, 0, routes, 9}},
		{"redirect", c, request{To: "/gone"}, want{"envoy", nil, 301, routes, 13}},
		{"invalid backend", c, request{To: "/broken"}, want{"envoy", nil, 500, routes, 15}},
		{"no endpoints", c, request{To: "/empty"}, want{"envoy", nil, 503, routes, 17}},
		{"query and method", c, request{To: "/q?k=v", Method: "POST"}, want{"envoy", []string{"v3"}, 0, routes, 19}},
		{"query without the method", c, request{To: "/q?k=v"}, want{"envoy", nil, 404, "", 0}},
		{"nothing matches", c, request{To: "/else"}, want{"envoy", nil, 404, "", 0}},
		{"consumer route", shop, request{To: "/else"}, want{"envoy", []string{"v3"}, 0, consumer, 7}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			args := []string{"--method", "GET", "--path", tc.To}
			if tc.Method != "" {
				args[1] = tc.Method
			}
			for _, h := range tc.Header {
				args = append(args, "-H", h)
			}
			e := s.explain(t, tc.from, "front", 80, args...)
			if e.Handler != tc.want.handler {
				t.Errorf("handled by %s, want %s", e.Handler, tc.want.handler)
			}
			checkRule(t, e, tc.want.file, tc.want.line)
			tc.To = "http://front" + tc.To
			tc.Fresh = true
			really := tally(24, func() string { return tc.from.getName(4, tc.request) })
			if tc.want.status != 0 {
				if e.Outcome.Status != tc.want.status || really[fmt.Sprint(tc.want.status)] != 24 {
					t.Errorf("explain says %+v, the request really had %s; want %d", e.Outcome, counts(really), tc.want.status)
				}
				return
			}
			checkServers(t, e, really, tc.want.servers)
		})
	}
	t.Run("kernel", func(t *testing.T) {
		e := s.explain(t, c, "front", 70)
		if e.Handler != "kernel" {
			t.Errorf("handled by %s, want kernel", e.Handler)
		}
		checkRule(t, e, routes, 28)
		checkServers(t, e, tally(24, func() string { return c.tcpName(4, "front:70") }), []string{"v2", "v3"})
	})
	t.Run("kernel without a route", func(t *testing.T) {
		e := s.explain(t, c, "v1", 70)
		if e.Handler != "kernel" {
			t.Errorf("handled by %s, want kernel", e.Handler)
		}
		checkServers(t, e, tally(8, func() string { return c.tcpName(6, "v1:70") }), []string{"v1"})
	})
	t.Run("refused", func(t *testing.T) {
		if e := s.explain(t, c, "empty", 70); e.Handler != "kernel" || e.Outcome.Verdict != "refused" {
			t.Errorf("%+v, want the kernel to refuse", e)
		}
	})
	t.Run("outside", func(t *testing.T) {
		out, err := s.CLI(t.Context(), "explain", "--run-dir", s.RunDir, "--from", s.ns+"/"+outside.name, "--to", "front."+s.ns+":80")
		if err == nil && !strings.Contains(out, "not") {
			t.Errorf("a client that is no workload: %s", out)
		}
	})
	t.Run("text names file and line", func(t *testing.T) {
		out, err := s.CLI(t.Context(), "explain", "--run-dir", s.RunDir, "--from", s.ns+"/client", "--to", "front."+s.ns+":80", "--path", "/items")
		if err != nil || !strings.Contains(out, routes+":9") {
			t.Errorf("%v: %s\nwant %s:9 in it", err, out, routes)
		}
	})
}

// explain asks sluice about a connection of a client to a service of the space.
func (s *space) explain(t *testing.T, from *client, service string, port int, args ...string) *explanation {
	t.Helper()
	ns := s.ns
	if from.name == "shop" {
		ns += "-shop"
	}
	e := &explanation{}
	all := append([]string{"explain", "--from", ns + "/" + from.name, "--to", fmt.Sprintf("%s.%s:%d", service, s.ns, port)}, args...)
	if err := s.Ask(t.Context(), e, all...); err != nil {
		t.Fatal(err)
	}
	if !e.Client.Meshed {
		t.Errorf("explain takes %s for a stranger", from.name)
	}
	return e
}

func checkRule(t *testing.T, e *explanation, file string, line int) {
	t.Helper()
	if file == "" {
		if e.Rule != nil {
			t.Errorf("explain names rule %+v, want none", e.Rule.Origin)
		}
		return
	}
	if e.Rule == nil || filepath.Base(e.Rule.Origin.File) != file || e.Rule.Origin.Line != line {
		t.Errorf("explain names rule %+v, want %s:%d", e.Rule, file, line)
	}
}

func checkServers(t *testing.T, e *explanation, really map[string]int, want []string) {
	t.Helper()
	said := map[string]bool{}
	for _, b := range e.Backends {
		if b.Weight > 0 && len(b.Endpoints) > 0 {
			said[b.Backend.Name] = true
		}
	}
	for name := range really {
		if !said[name] {
			t.Errorf("%s answered, explain said %v", name, said)
		}
	}
	for _, name := range want {
		if !said[name] || really[name] == 0 {
			t.Errorf("want %s; explain said %v, and really answered %s", name, said, counts(really))
		}
	}
}
