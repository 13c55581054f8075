package netns

import (
	"cmp"
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

// explainRoutes are the routes of service front, and of clients of namespace shop.
const (
	explainRoutes = `apiVersion: gateway.networking.k8s.io/v1
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
`
	explainConsumer = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: mine, namespace: $NS-shop}
spec:
  parentRefs: [{group: "", kind: Service, namespace: $NS, name: front, port: 80}]
  rules:
  - backendRefs: [{namespace: $NS, name: v3, port: 80}]
`
)

// explained are requests to service front, at Envoy.
var explained = []struct {
	name, client string
	request
	// servers may answer; or somebody answers with a status.
	servers []string
	status  int
	// file and line are the rule's.
	file string
	line int
}{
	{"header match", "client", request{To: "/items/1", Header: []string{"Version: beta"}}, []string{"v2"}, 0, "routes", 7},
	{"split", "client", request{To: "/items"}, []string{"v1", "v2"}, 0, "routes", 9},
	{"redirect", "client", request{To: "/gone"}, nil, 301, "routes", 13},
	{"invalid backend", "client", request{To: "/broken"}, nil, 500, "routes", 15},
	{"no endpoints", "client", request{To: "/empty"}, nil, 503, "routes", 17},
	{"query and method", "client", request{To: "/q?k=v", Method: "POST"}, []string{"v3"}, 0, "routes", 19},
	{"query without the method", "client", request{To: "/q?k=v"}, nil, 404, "", 0},
	{"nothing matches", "client", request{To: "/else"}, nil, 404, "", 0},
	{"consumer route", "shop", request{To: "/else"}, []string{"v3"}, 0, "consumer", 7},
}

// explainSpace makes the services and routes that are explained.
func explainSpace(t *testing.T) *space {
	t.Helper()
	s := newSpace(t)
	s.each("front", "v1", "v2", "v3")
	s.service("empty")
	s.apply("routes", explainRoutes)
	s.apply("consumer", explainConsumer)
	return s
}

// TestExplain asks sluice what would become of requests, then makes them, and
// compares: the handler, the set of servers, and the file and line of the rule.
func TestExplain(t *testing.T) {
	t.Parallel()
	s := explainSpace(t)
	clients := map[string]*client{"client": s.client("client"), "shop": s.clientIn(s.ns+"-shop", "shop")}
	s.settle()
	for _, tc := range explained {
		t.Run(tc.name, func(t *testing.T) {
			from := clients[tc.client]
			args := []string{"--method", cmp.Or(tc.Method, "GET"), "--path", tc.To}
			for _, h := range tc.Header {
				args = append(args, "-H", h)
			}
			e := s.explain(t, from, "front", 80, args...)
			if e.Handler != "envoy" {
				t.Errorf("handled by %s, want envoy", e.Handler)
			}
			s.checkRule(t, e, tc.file, tc.line)
			r := tc.request
			r.To, r.Fresh = "http://front"+r.To, true
			families(t, func(t *testing.T, family int) {
				really := tally(24, func() string { return from.getName(family, r) })
				if tc.status == 0 {
					checkServers(t, e, really, tc.servers)
				} else if e.Outcome.Status != tc.status || really[fmt.Sprint(tc.status)] != 24 {
					t.Errorf("explain says %+v, the request really had %s; want %d", e.Outcome, counts(really), tc.status)
				}
			})
		})
	}
	t.Run("text names file and line", func(t *testing.T) {
		out, err := s.CLI(t.Context(), "explain", "--run-dir", s.RunDir, "--from", s.ns+"/client", "--to", "front."+s.ns+":80", "--path", "/items")
		if want := s.file("routes") + ":9"; err != nil || !strings.Contains(out, want) {
			t.Errorf("%v: %s\nwant %s in it", err, out, want)
		}
	})
}

// TestExplainKernel does the same for connections that the kernel handles.
func TestExplainKernel(t *testing.T) {
	t.Parallel()
	s := explainSpace(t)
	c, outside := s.client("client"), s.unmeshed("outside")
	s.settle()
	for _, tc := range []struct {
		service string
		file    string
		line    int
		servers []string
	}{
		{"front", "routes", 28, []string{"v2", "v3"}},
		{"v1", "service-v1", 1, []string{"v1"}},
	} {
		e := s.explain(t, c, tc.service, 70)
		if e.Handler != "kernel" {
			t.Errorf("%s is handled by %s, want kernel", tc.service, e.Handler)
		}
		s.checkRule(t, e, tc.file, tc.line)
		families(t, func(t *testing.T, family int) {
			checkServers(t, e, tally(24, func() string { return c.tcpName(family, tc.service+":70") }), tc.servers)
		})
	}
	if e := s.explain(t, c, "empty", 70); e.Handler != "kernel" || e.Outcome.Verdict != "refused" {
		t.Errorf("%+v, want the kernel to refuse", e)
	}
	out, err := s.CLI(t.Context(), "explain", "--run-dir", s.RunDir, "--from", s.ns+"/"+outside.name, "--to", "front."+s.ns+":80")
	if err != nil || !strings.Contains(out, "not in the mesh") {
		t.Errorf("a client that is no workload: %v\n%s", err, out)
	}
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

// checkRule wants the rule at a line of a file of the space, or none.
func (s *space) checkRule(t *testing.T, e *explanation, file string, line int) {
	t.Helper()
	if file == "" {
		if e.Rule != nil {
			t.Errorf("explain names rule %+v, want none", e.Rule)
		}
		return
	}
	if e.Rule == nil || filepath.Base(e.Rule.Origin.File) != s.file(file) || e.Rule.Origin.Line != line {
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
