package netns

import (
	"fmt"
	"strings"
	"testing"
)

// badReferences are well-formed objects, not all of which can be served.
var badReferences = map[string]string{
	"missing": httpRoute("missing", "front", `
  - matches: [{path: {value: /missing}}]
    backendRefs: [{name: nobody, port: 80}]
  - backendRefs: [{name: v1, port: 80}]
`),
	"regex": httpRoute("regex", "front", `
  - matches: [{path: {type: RegularExpression, value: "/(unclosed"}}]
    backendRefs: [{name: v2, port: 80}]
`),
	"half-regex": httpRoute("half-regex", "front", `
  - matches: [{headers: [{name: a, type: RegularExpression, value: "*"}]}]
    backendRefs: [{name: v2, port: 80}]
  - matches: [{path: {value: /half}}]
    backendRefs: [{name: v2, port: 80}]
`),
	"no-parent": httpRoute("no-parent", "elsewhere", `
  - backendRefs: [{name: v2, port: 80}]
`),
	"conflict-grpc": `
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: winner, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: v1, port: 90}]
  rules:
  - backendRefs: [{name: v2, port: 90}]
`,
	"conflict-http": `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: loser, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: v1, port: 90}]
  rules:
  - backendRefs: [{name: v1, port: 90}]
`,
}

// wantConditions are those of the badReferences.
var wantConditions = []struct {
	kind, name, condition string
	status                bool
	reason                string
	// says is what the message must speak of.
	says string
}{
	{"HTTPRoute", "missing", "Accepted", true, "Accepted", ""},
	{"HTTPRoute", "missing", "ResolvedRefs", false, "BackendNotFound", "nobody"},
	{"HTTPRoute", "regex", "Accepted", false, "UnsupportedValue", "/(unclosed"},
	{"HTTPRoute", "half-regex", "Accepted", true, "Accepted", ""},
	{"HTTPRoute", "half-regex", "PartiallyInvalid", true, "UnsupportedValue", "*"},
	{"HTTPRoute", "no-parent", "Accepted", false, "NoMatchingParent", "elsewhere"},
	{"GRPCRoute", "winner", "Accepted", true, "Accepted", ""},
	{"HTTPRoute", "loser", "Accepted", false, "Conflicted", "winner"},
}

// TestBadReferences proves that what is well-formed but can't be served is said
// by the conditions of the Gateway API, as JSON and in the table of `sluice
// status`, while the rest of the route serves.
func TestBadReferences(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front", "v1", "v2")
	c := s.client("client")
	for name, yaml := range badReferences {
		s.apply(name, yaml)
	}
	s.settle()
	table, err := s.CLI(t.Context(), "status", "--run-dir", s.RunDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range wantConditions {
		got, ok := s.conditions(tc.kind, tc.name)[tc.condition]
		if !ok || got.Status != tc.status || got.Reason != tc.reason || !strings.Contains(got.Message, tc.says) {
			t.Errorf("%s %s: %+v, want %s %t %s that speaks of %q", tc.kind, tc.name, got, tc.condition, tc.status, tc.reason, tc.says)
		}
		status := map[bool]string{true: "True", false: "False"}[tc.status]
		if !tabled(table, fmt.Sprintf("%s %s/%s", tc.kind, s.ns, tc.name), tc.condition, status, tc.reason, s.ns) {
			t.Errorf("`sluice status` has no line with %s %s: %s %s %s\n%s", tc.kind, tc.name, tc.condition, status, tc.reason, table)
		}
	}
	if p := s.problem(s.file("regex")); p == nil || p.LastGood || p.Object.Name != "regex" || p.Line != 9 {
		t.Errorf("the expression that never was good: %+v, want a problem at line 9 without a last good state", p)
	}
	families(t, func(t *testing.T, family int) {
		for path, want := range map[string]string{"/": "v1", "/missing": "500", "/half": "v2"} {
			if got := c.getName(family, request{To: "http://front" + path}); got != want {
				t.Errorf("%s: %s, want %s", path, got, want)
			}
		}
		if got := call(t.Context(), c.grpc(t, family, "v1:90"), "sluice.test.Echo/Get"); got != "v2" {
			t.Errorf("the winner of the conflict: %s, want v2", got)
		}
	})
	if rejected := s.status().XDS.Rejected; len(rejected) > 0 {
		t.Errorf("Envoy rejected %+v", rejected)
	}
}

// tabled tells whether one line of a table has all the words.
func tabled(table string, words ...string) bool {
	for line := range strings.Lines(table) {
		has := true
		for _, w := range words {
			has = has && strings.Contains(line, w)
		}
		if has {
			return true
		}
	}
	return false
}
