package netns

import (
	"fmt"
	"strings"
	"testing"
)

// badInputs are files with something wrong in them.
var badInputs = []struct {
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
}

// TestBadInput proves that what is wrong with one file is said with file, line
// and object, and that everything else goes on.
func TestBadInput(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.frontToV2()
	c := s.client("client")
	s.settle()
	for _, tc := range badInputs {
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
