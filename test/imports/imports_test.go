// Package imports holds the architecture's edges as a test: which package may
// know which, directly or not. It owns nothing else.
package imports

import (
	"os/exec"
	"strings"
	"testing"
)

const module = "sluice.io/sluice/"

// edge forbids a package, and everything that it imports, to reach another.
type edge struct {
	from, to string
	reason   string
}

var forbidden = []edge{
	{"model", ".", "the model is the mesh in our own words: standard library only"},
	{"xds", "sluice.io/sluice/redirect", "the two sinks never know each other"},
	{"redirect", "sluice.io/sluice/xds", "the two sinks never know each other"},
	{"xds", "k8s.io/", "sinks see the model only"},
	{"xds", "sigs.k8s.io/", "sinks see the model only"},
	{"xds", "github.com/cilium/ebpf", "only redirect and bpf talk BPF"},
	{"redirect", "k8s.io/", "sinks see the model only"},
	{"redirect", "sigs.k8s.io/", "sinks see the model only"},
	{"redirect", "github.com/envoyproxy/", "only xds and envoy speak Envoy's API"},
	{"netns", "k8s.io/", "netns sees the model only"},
	{"netns", "github.com/cilium/ebpf", "only redirect and bpf talk BPF"},
	{"envoy", "k8s.io/", "envoy knows processes, not objects"},
	{"envoy", "github.com/cilium/ebpf", "only redirect and bpf talk BPF"},
	{"observe/explain", "k8s.io/", "explain reads the model only"},
	{"observe/explain", "github.com/envoyproxy/", "explain reads the model only"},
	{"observe/explain", "github.com/cilium/ebpf", "explain reads the model only"},
	{"resolve", "github.com/envoyproxy/", "resolve must not know the sinks"},
	{"resolve", "github.com/cilium/ebpf", "resolve must not know the sinks"},
	{"source", "sluice.io/sluice/resolve", "source must not know what objects mean"},
	{"source/file", "sluice.io/sluice/resolve", "source must not know what objects mean"},
	{"crds/v1alpha1", "sluice.io/sluice/", "API types are a leaf, for others to import"},
}

func TestEdges(t *testing.T) {
	deps := map[string][]string{}
	for _, e := range forbidden {
		list, ok := deps[e.from]
		if !ok {
			list = dependencies(t, e.from)
			deps[e.from] = list
		}
		for _, d := range list {
			if reaches(d, e.to) && d != module+e.from {
				t.Errorf("%s reaches %s: %s", e.from, d, e.reason)
			}
		}
	}
}

// reaches reports whether an import path falls under an edge's target; "."
// means everything outside the standard library.
func reaches(path, to string) bool {
	if to == "." {
		first, _, _ := strings.Cut(path, "/")
		return strings.Contains(first, ".")
	}
	return strings.HasPrefix(path, to)
}

// dependencies lists a package's imports, transitively. A package that has gone
// fails the test: its edges must not be forgotten.
func dependencies(t *testing.T, pkg string) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", module+pkg).CombinedOutput()
	if err != nil {
		t.Fatalf("list the dependencies of %s: %v\n%s", pkg, err, out)
	}
	return strings.Fields(string(out))
}
