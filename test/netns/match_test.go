package netns

import (
	"testing"
)

// matchRoutes are two routes of one service, with every kind of match.
const matchRoutes = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: one, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: front, port: 80}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /}}]
    backendRefs: [{name: rest, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /p}}]
    backendRefs: [{name: prefix, port: 80}]
  - matches: [{path: {type: Exact, value: /p/exact}}]
    backendRefs: [{name: exact, port: 80}]
  - matches: [{path: {type: RegularExpression, value: "/r/[0-9]+"}}]
    backendRefs: [{name: regex, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /p}, method: POST}]
    backendRefs: [{name: post, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /h}, headers: [{name: Version, value: beta}]}]
    backendRefs: [{name: header, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: two, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: front, port: 80}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /p/q}}]
    backendRefs: [{name: longer, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /r/12}}]
    backendRefs: [{name: prefix, port: 80}]
  - matches:
    - path: {type: PathPrefix, value: /h}
      headers:
      - {name: version, value: beta}
      - {name: user, type: RegularExpression, value: "a.*"}
    backendRefs: [{name: headers, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /q}, queryParams: [{name: k, value: v}]}]
    backendRefs: [{name: query, port: 80}]
  - matches:
    - path: {type: PathPrefix, value: /q}
      queryParams: [{name: k, value: v}, {name: num, type: RegularExpression, value: "[0-9]+"}]
    - path: {type: Exact, value: /either}
    backendRefs: [{name: queries, port: 80}]
`

// matchCases are requests to that service, and who must answer.
var matchCases = []struct {
	name string
	request
	want string
}{
	{"anything", request{To: "/"}, "rest"},
	{"prefix itself", request{To: "/p"}, "prefix"},
	{"prefix with slash", request{To: "/p/"}, "prefix"},
	{"below the prefix", request{To: "/p/x/y"}, "prefix"},
	{"prefix is by path elements", request{To: "/px"}, "rest"},
	{"longer prefix, in another route", request{To: "/p/q/x"}, "longer"},
	{"longer prefix by elements", request{To: "/p/qx"}, "prefix"},
	{"exact before prefix", request{To: "/p/exact"}, "exact"},
	{"exact takes no more", request{To: "/p/exact/"}, "prefix"},
	{"exact with a query", request{To: "/p/exact?a=b"}, "exact"},
	{"exact is case-sensitive", request{To: "/P/exact"}, "rest"},
	{"regular expression", request{To: "/r/123"}, "regex"},
	{"regular expression must match all", request{To: "/r/123x"}, "rest"},
	{"regular expression and a query", request{To: "/r/7?x=1"}, "regex"},
	{"regular expression before prefix", request{To: "/r/12"}, "regex"},
	{"prefix where no regular expression matches", request{To: "/r/12/x"}, "prefix"},
	{"method before no method", request{To: "/p/x", Method: "POST"}, "post"},
	{"path before method", request{To: "/p/exact", Method: "POST"}, "exact"},
	{"longer path before method", request{To: "/p/q", Method: "POST"}, "longer"},
	{"header", request{To: "/h", Header: []string{"version: beta"}}, "header"},
	{"header's name in any case", request{To: "/h", Header: []string{"VERSION: beta"}}, "header"},
	{"header's value exactly", request{To: "/h", Header: []string{"version: Beta"}}, "rest"},
	{"more headers win", request{To: "/h", Header: []string{"version: beta", "user: anna"}}, "headers"},
	{"header by regular expression, all of it", request{To: "/h", Header: []string{"version: beta", "user: xa"}}, "header"},
	{"query", request{To: "/q?k=v"}, "query"},
	{"query's other value", request{To: "/q?k=w"}, "rest"},
	{"more query parameters win", request{To: "/q?num=42&k=v"}, "queries"},
	{"query by regular expression, all of it", request{To: "/q?k=v&num=4x"}, "query"},
	{"second match of a rule", request{To: "/either"}, "queries"},
}

// TestHTTPMatches drives every kind of match, and their precedence over several
// rules and routes of one service: the path first (exact, then the longest
// prefix), then the method, the number of headers, the number of query
// parameters, then age and name of the route, and the order of rules.
func TestHTTPMatches(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front", "exact", "prefix", "longer", "regex", "post", "header", "headers", "query", "queries", "rest")
	c := s.client("client")
	s.apply("routes", matchRoutes)
	s.settle()
	families(t, func(t *testing.T, family int) {
		for _, tc := range matchCases {
			r := tc.request
			r.To = "http://front" + r.To
			if got := c.getName(family, r); got != tc.want {
				t.Errorf("%s: %s %s %q went to %s, want %s", tc.name, r.Method, r.To, r.Header, got, tc.want)
			}
		}
	})
}

// TestHTTPTiesBreakByAgeThenName proves the last steps of the precedence: the
// older route, then the one whose name is first, then the first rule.
func TestHTTPTiesBreakByAgeThenName(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front", "older", "first", "last", "early", "late")
	c := s.client("client")
	rule := func(name, created, path string, backends ...string) string {
		y := `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: ` + name + `, namespace: $NS, creationTimestamp: ` + created + `}
spec:
  parentRefs: [{group: "", kind: Service, name: front, port: 80}]
  rules:
`
		for _, b := range backends {
			y += `  - {matches: [{path: {value: ` + path + `}}], backendRefs: [{name: ` + b + `, port: 80}]}
`
		}
		return y
	}
	const young, old = `"2024-02-02T00:00:00Z"`, `"2023-02-02T00:00:00Z"`
	// Files are named so that their order alone would give other answers.
	s.apply("1", rule("z-young", young, "/age", "last"))
	s.apply("2", rule("zz-old", old, "/age", "older"))
	s.apply("3", rule("name-b", young, "/name", "last"))
	s.apply("4", rule("name-a", young, "/name", "first"))
	s.apply("5", rule("rules", young, "/rules", "early", "late"))
	s.settle()
	families(t, func(t *testing.T, family int) {
		for path, want := range map[string]string{"/age": "older", "/name": "first", "/rules": "early"} {
			if got := c.getName(family, request{To: "http://front" + path}); got != want {
				t.Errorf("%s went to %s, want %s", path, got, want)
			}
		}
	})
}

// TestParentRefs proves what a parentRef takes: a port by its number or name, and
// without one all ports that fit.
func TestParentRefs(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("number", "name", "none", "v2")
	c := s.client("client")
	for name, port := range map[string]string{"number": ", port: 80", "name": ", sectionName: http", "none": ""} {
		s.apply("route-"+name, `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: `+name+`, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: `+name+port+`}]
  rules:
  - backendRefs: [{name: v2, port: 80}]
`)
	}
	s.settle()
	families(t, func(t *testing.T, family int) {
		for _, name := range []string{"number", "name", "none"} {
			if got := c.getName(family, request{To: "http://" + name + "/"}); got != "v2" {
				t.Errorf("parentRef with %s: port 80 went to %s, want v2", name, got)
			}
			if got, all := c.getName(family, request{To: "http://" + name + ":90/"}), name == "none"; (got == "v2") != all {
				t.Errorf("parentRef with %s: port 90 went to %s; to v2 is %t", name, got, all)
			}
			if got := c.udpName(family, name+":53"); got != name {
				t.Errorf("parentRef with %s: the UDP port went to %s, want %s", name, got, name)
			}
		}
	})
}

// TestNoMatch proves that a request that no rule takes gets 404, and that the
// service's other ports are not touched.
func TestNoMatch(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front")
	c := s.client("client")
	s.apply("route", `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: only, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: front, port: 80}]
  rules:
  - matches: [{path: {value: /only}}]
    backendRefs: [{name: front, port: 80}]
`)
	s.settle()
	families(t, func(t *testing.T, family int) {
		for to, want := range map[string]string{"/only": "front", "/other": "404", "/": "404"} {
			if got := c.getName(family, request{To: "http://front" + to}); got != want {
				t.Errorf("%s: %s, want %s", to, got, want)
			}
		}
		if got := c.tcpName(family, "front:70"); got != "front" {
			t.Errorf("the TCP port answered %s, want front", got)
		}
	})
}

// TestHostOfRequestDoesNotMatter proves that in a mesh a Service's route takes
// all requests to it, whatever their Host header says, and hostnames of the
// route are ignored.
func TestHostOfRequestDoesNotMatter(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front", "other")
	c := s.client("client")
	s.apply("route", `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: named, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: front, port: 80}]
  hostnames: [named.example]
  rules:
  - backendRefs: [{name: other, port: 80}]
`)
	s.settle()
	families(t, func(t *testing.T, family int) {
		for _, host := range []string{"front", "front." + s.ns + ".svc.cluster.local", "named.example", "else.example:80"} {
			a := c.get(t, family, request{To: "http://front/", Header: []string{"Host: " + host}})
			if a.name() != "other" {
				t.Errorf("Host %s went to %s, want other", host, a.name())
			} else if a.Seen.Host != host {
				t.Errorf("Host %s arrived as %s", host, a.Seen.Host)
			}
		}
	})
}
