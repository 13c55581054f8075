package netns

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"sluice.io/sluice/test/netns/lab"
)

// TestBadInput proves that what is wrong with one file is said with file, line
// and object, and that everything else goes on.
func TestBadInput(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.frontToV2()
	c := s.client("client")
	s.settle()
	for _, tc := range []struct {
		name, yaml string
		// wantLine is the line of what is wrong, 1 the first of the file.
		wantLine            int
		wantKind, wantName  string
		wantMessageContains []string
	}{
		{"unknown-field", `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: unknown-field, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: front}]
  rules:
  - backendRef: [{name: v2, port: 80}]
`, 7, "HTTPRoute", "unknown-field", []string{"backendRef"}},
		{"wrong-type", `# A comment.
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: wrong-type, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: front}]
  rules:
  - backendRefs: [{name: v2, port: eighty}]
`, 8, "HTTPRoute", "wrong-type", []string{"port"}},
		{"cel-rule", `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: cel-rule, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: front}]
  rules:
  - filters:
    - {type: RequestRedirect, requestRedirect: {hostname: example.org}}
    backendRefs: [{name: v2, port: 80}]
`, 7, "HTTPRoute", "cel-rule", []string{"RequestRedirect"}},
		{"bad-value", `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: bad-value, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: front}]
  rules:
  - matches:
    - path: {type: PathPrefix, value: no-slash}
    backendRefs: [{name: v2, port: 80}]
`, 8, "HTTPRoute", "bad-value", []string{"path"}},
		{"unknown-kind", `apiVersion: example.org/v1
kind: Thing
metadata: {name: unknown-kind, namespace: $NS}
`, 1, "Thing", "unknown-kind", []string{"Thing"}},
		{"workload-both", `apiVersion: sluice.io/v1alpha1
kind: Workload
metadata: {name: workload-both, namespace: $NS}
spec: {netns: /run/netns/a, cgroup: /b}
`, 4, "Workload", "workload-both", []string{"netns", "cgroup"}},
		{"second-document", `apiVersion: v1
kind: Service
metadata: {name: first-document, namespace: $NS}
spec: {clusterIP: 10.250.0.1, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: second-document, namespace: $NS}
spec: {clusterIP: not-an-address, ports: [{port: 80}]}
`, 9, "Service", "second-document", []string{"not-an-address"}},
		{"no-yaml", "apiVersion: v1\nkind: Service: x\nmetadata: {}\n", 2, "", "", nil},
		{"no-name", "apiVersion: v1\nkind: Service\nmetadata: {namespace: $NS}\n", 3, "", "", []string{"name"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := s.apply(tc.name, tc.yaml)
			s.settle()
			p := s.problem(file)
			if p == nil {
				t.Fatal("status says nothing of it")
			}
			if p.Object.Kind != tc.wantKind || p.Object.Name != tc.wantName {
				t.Errorf("the problem is with %+v, want %s %s", p.Object, tc.wantKind, tc.wantName)
			}
			if p.Line != tc.wantLine {
				t.Errorf("the problem is in line %d, want %d: %s", p.Line, tc.wantLine, p.Message)
			}
			for _, want := range tc.wantMessageContains {
				if !strings.Contains(p.Message, want) {
					t.Errorf("the message doesn't speak of %s: %s", want, p.Message)
				}
			}
			text, err := s.CLI(t.Context(), "status", "--run-dir", s.RunDir)
			if err != nil || !strings.Contains(text, fmt.Sprintf("%s:%d", file, tc.wantLine)) {
				t.Errorf("`sluice status` (%v) doesn't print %s:%d:\n%s", err, file, tc.wantLine, text)
			}
			c.served(t)
			s.remove(tc.name)
			s.settle()
			if p := s.problem(file); p != nil {
				t.Errorf("the problem outlives its file: %+v", p)
			}
		})
	}
}

// TestBadReferences proves that what is well-formed but can't be served is said
// by the conditions of the Gateway API, while the rest of the route serves.
func TestBadReferences(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front", "v1", "v2")
	c := s.client("client")
	s.apply("missing", httpRoute("missing", "front", `
  - matches: [{path: {value: /missing}}]
    backendRefs: [{name: nobody, port: 80}]
  - backendRefs: [{name: v1, port: 80}]
`))
	s.apply("regex", httpRoute("regex", "front", `
  - matches: [{path: {type: RegularExpression, value: "/(unclosed"}}]
    backendRefs: [{name: v2, port: 80}]
`))
	s.apply("no-parent", httpRoute("no-parent", "elsewhere", `
  - backendRefs: [{name: v2, port: 80}]
`))
	s.apply("conflict-grpc", `
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: winner, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: v1, port: 90}]
  rules:
  - backendRefs: [{name: v2, port: 90}]
`)
	s.apply("conflict-http", `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: loser, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: v1, port: 90}]
  rules:
  - backendRefs: [{name: v1, port: 90}]
`)
	s.settle()
	for _, tc := range []struct {
		kind, name, condition string
		status                bool
		reason                string
	}{
		{"HTTPRoute", "missing", "Accepted", true, "Accepted"},
		{"HTTPRoute", "missing", "ResolvedRefs", false, "BackendNotFound"},
		{"HTTPRoute", "regex", "Accepted", false, ""},
		{"HTTPRoute", "no-parent", "Accepted", false, "NoMatchingParent"},
		{"GRPCRoute", "winner", "Accepted", true, "Accepted"},
		{"HTTPRoute", "loser", "Accepted", false, "Conflicted"},
	} {
		got, ok := s.conditions(tc.kind, tc.name)[tc.condition]
		if !ok || got.Status != tc.status || tc.reason != "" && got.Reason != tc.reason {
			t.Errorf("%s %s: %+v, want %s %t %s", tc.kind, tc.name, got, tc.condition, tc.status, tc.reason)
		}
	}
	if got := c.getName(4, request{To: "http://front/"}); got != "v1" {
		t.Errorf("beside the broken rule: %s, want v1", got)
	}
	if got := c.getName(4, request{To: "http://front/missing"}); got != "500" {
		t.Errorf("the broken rule: %s, want 500", got)
	}
	if got := call(t.Context(), c.grpc(t, 4, "v1:90"), "sluice.test.Echo/Get"); got != "v2" {
		t.Errorf("the winner of the conflict: %s, want v2", got)
	}
	if rejected := s.status().XDS.Rejected; len(rejected) > 0 {
		t.Errorf("Envoy rejected %+v", rejected)
	}
}

// TestLastGoodStays proves that an object that becomes broken keeps serving in
// its last good state, also over a restart, until it is removed or mended.
func TestLastGoodStays(t *testing.T) {
	t.Parallel()
	w := ownWorld(t)
	s := w.space(t)
	s.each("front", "v1", "v2")
	c := s.client("client")
	good := httpRoute("moving", "front", "  - backendRefs: [{name: v1, port: 80}]\n")
	s.apply("route", good)
	s.settle()
	loads := []*load{startLoad(t, "requests", 1, wantName(func() string { return c.getName(4, request{To: "http://front/"}) }, "v1"))}
	progressAll(t, 10, loads...)
	for name, broken := range map[string]string{
		"unknown field": strings.Replace(good, "backendRefs", "backendsRefs", 1),
		"no YAML":       good + "\t:\n - {",
		"half of it":    good[:len(good)-20],
	} {
		file := s.apply("route", broken)
		s.settle()
		if p := s.problem(file); p == nil || !p.LastGood {
			t.Errorf("%s: problem %+v, want one that says that the last good state serves", name, p)
		}
		progressAll(t, 10, loads...)
	}
	if err := w.Sluice().Kill(); err != nil {
		t.Fatal(err)
	}
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.settle()
	progressAll(t, 10, loads...)
	stopClean(t, loads...)
	s.apply("route", httpRoute("moving", "front", "  - backendRefs: [{name: v2, port: 80}]\n"))
	s.settle()
	if got := c.getName(4, request{To: "http://front/"}); got != "v2" {
		t.Errorf("mended: %s, want v2", got)
	}
	s.apply("route", "broken: [")
	s.settle()
	s.remove("route")
	s.settle()
	if got := c.getName(4, request{To: "http://front/", Fresh: true}); got != "front" {
		t.Errorf("removed: %s, want front", got)
	}
}

// TestFilesWrittenInPieces proves that a file that is written in place, slowly,
// in many pieces, disturbs nothing, and takes effect once it is whole.
func TestFilesWrittenInPieces(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front", "v1", "v2")
	c := s.client("client")
	s.apply("route", httpRoute("moving", "front", "  - backendRefs: [{name: v1, port: 80}]\n"))
	s.settle()
	requests := startLoad(t, "requests", 1, wantName(func() string { return c.getName(4, request{To: "http://front/"}) }, "v1", "v2"))
	progressAll(t, 10, requests)
	whole := s.fill(httpRoute("moving", "front", "  - backendRefs: [{name: v2, port: 80}]\n"))
	f, err := os.OpenFile(s.Folder.Path(s.file("route")), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for len(whole) > 0 {
		n := min(40, len(whole))
		if _, err := f.WriteString(whole[:n]); err != nil {
			t.Fatal(err)
		}
		whole = whole[n:]
		progressAll(t, 5, requests)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	s.eventually("the whole file is in force", wantName(func() string { return c.getName(4, request{To: "http://front/"}) }, "v2"))
	stopClean(t, requests)
}

// TestUnreadableFiles proves that files that can't be read are said, and stop nothing.
func TestUnreadableFiles(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.frontToV2()
	c := s.client("client")
	s.settle()
	for name, make := range map[string]func(path string) error{
		"loop":     func(path string) error { return os.Symlink(path, path) },
		"dangling": func(path string) error { return os.Symlink("/nowhere/at/all.yaml", path) },
		"binary":   func(path string) error { return os.WriteFile(path, []byte{0, 1, 2, 0xff, 0xfe}, 0o644) },
	} {
		file := s.file(name)
		if err := make(s.Folder.Path(file)); err != nil {
			t.Fatal(err)
		}
		s.files[file] = true
		s.eventually(name, func() error {
			if p := s.problem(file); p == nil {
				return fmt.Errorf("status says nothing of %s", file)
			}
			return nil
		})
	}
	s.settle()
	c.served(t)
}

// TestVIPTwice proves that of two services with one address and port the first
// keeps it, that the second is told, and that it takes over when the first goes.
func TestVIPTwice(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front")
	c := s.client("client")
	s.settle()
	thief := &lab.Service{Namespace: s.ns, Name: "thief", VIP: s.services["front"].VIP, Ports: usual(), Endpoints: []*lab.Pod{s.server("thief")}}
	s.declare(thief)
	s.settle()
	if got := c.tcpName(4, "front:70"); got != "front" {
		t.Errorf("the address goes to %s, want front, which had it first", got)
	}
	text, err := s.CLI(t.Context(), "status", "--run-dir", s.RunDir)
	if err != nil {
		t.Fatal(err)
	}
	told := false
	for line := range strings.Lines(text) {
		told = told || strings.Contains(line, "thief") && strings.Contains(text, s.services["front"].VIP.V4.String())
	}
	if !told {
		t.Errorf("`sluice status` says nothing of the address that two services want:\n%s", text)
	}
	s.remove("service-front")
	s.settle()
	if got := c.tcpName(4, "thief:70"); got != "thief" {
		t.Errorf("after the first has gone the address goes to %s, want thief", got)
	}
}

// largeMeshTime is how long twenty thousand services may take on a small, busy
// machine with the race detector on; how long they do take is for test/bench.
const largeMeshTime = 4 * time.Minute

// TestTwentyThousandServices proves that a large mesh works as a small one does.
func TestTwentyThousandServices(t *testing.T) {
	t.Parallel()
	w := ownWorld(t)
	s := w.space(t)
	const files, each = 20, 1000
	server, other := s.server("server"), s.server("other")
	s.service("other", other)
	c := s.client("client")
	for f := range files {
		var b strings.Builder
		for i := range each {
			svc := &lab.Service{
				Namespace: s.ns, Name: fmt.Sprintf("s-%d", f*each+i), VIP: w.VIP(),
				Ports: []lab.Port{{Name: "http", Port: 80, Target: 8080}}, Endpoints: []*lab.Pod{server},
			}
			s.vips.Store(svc.Name, svc.VIP)
			b.WriteString(svc.YAML() + "---\n")
		}
		s.apply(fmt.Sprintf("many-%02d", f), b.String())
	}
	if err := lab.Poll(largeMeshTime, w.settle); err != nil {
		t.Fatal(err)
	}
	if n := s.status().Counts.Frontends; n < files*each {
		t.Errorf("status counts %d frontends, want %d or more", n, files*each)
	}
	for i := 0; i < files*each; i += 997 {
		to := fmt.Sprintf("http://s-%d/", i)
		if got := c.getName(4, request{To: to, Fresh: true}); got != "server" {
			t.Errorf("%s: %s, want server", to, got)
		}
	}
	s.apply("route", httpRoute("away", "s-19999", "  - backendRefs: [{name: other, port: 80}]\n"))
	s.settle()
	if got := c.getName(6, request{To: "http://s-19999/", Fresh: true}); got != "other" {
		t.Errorf("an edit among many: %s, want other", got)
	}
	if err := w.Sluice().Kill(); err != nil {
		t.Fatal(err)
	}
	if err := lab.Poll(largeMeshTime, func() error { return w.Start(t.Context()) }); err != nil {
		t.Fatal(err)
	}
	if got := c.getName(6, request{To: "http://s-0/", Fresh: true}); got != "server" {
		t.Errorf("after a restart: %s, want server", got)
	}
}
