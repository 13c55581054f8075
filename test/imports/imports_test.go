// Package imports holds the architecture's edges as a test: which package may
// know which, directly or not. It owns nothing else.
package imports

import (
	"os/exec"
	"slices"
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
	{"announce", "k8s.io/", "announce sees the model only"},
	{"announce", "sigs.k8s.io/", "announce sees the model only"},
	{"announce", "sluice.io/sluice/redirect", "addresses know nothing of what is served at them"},
	{"envoy", "k8s.io/", "envoy knows processes, not objects"},
	{"envoy", "github.com/cilium/ebpf", "only redirect and bpf talk BPF"},
	{"observe/explain", "k8s.io/", "explain reads the model only"},
	{"observe/explain", "github.com/envoyproxy/", "explain reads the model only"},
	{"observe/explain", "github.com/cilium/ebpf", "explain reads the model only"},
	{"observe/gateways", "k8s.io/", "gateways are told of from the model only"},
	{"observe/gateways", "sigs.k8s.io/", "gateways are told of from the model only"},
	{"observe/gateways", "sluice.io/sluice/resolve", "gateways are told of by what resolve wrote"},
	{"resolve", "github.com/envoyproxy/", "resolve must not know the sinks"},
	{"resolve", "github.com/cilium/ebpf", "resolve must not know the sinks"},
	{"source", "sluice.io/sluice/resolve", "source must not know what objects mean"},
	{"source/file", "sluice.io/sluice/resolve", "source must not know what objects mean"},
	{"observe/explain", "sigs.k8s.io/", "explain reads the model only"},
	{"observe/explain", "sluice.io/sluice/xds", "explain must not ask the sinks"},
	{"observe/explain", "sluice.io/sluice/redirect", "explain must not ask the sinks"},
	{"observe/explain", "sluice.io/sluice/resolve", "explain reads what resolve wrote"},
	{"resolve", "sluice.io/sluice/xds", "resolve must not know the sinks"},
	{"resolve/hostname", "sluice.io/sluice/model", "host names are compared as text"},
	{"resolve/hostname", "k8s.io/", "host names are compared as text"},
	{"resolve/credential", "sluice.io/sluice/model", "certificates and keys are bytes"},
	{"resolve/credential", "k8s.io/", "certificates and keys are bytes"},
	{"resolve", "sluice.io/sluice/redirect", "resolve must not know the sinks"},
	{"resolve", "sluice.io/sluice/source/file", "resolve must not know where objects come from"},
	{"netns", "sigs.k8s.io/", "netns sees the model only"},
	{"netns", "github.com/envoyproxy/", "netns knows mounts, not who enters by them"},
	{"envoy", "sigs.k8s.io/", "envoy knows processes, not objects"},
	{"envoy", "sluice.io/sluice/model", "envoy must not know what is configured in it"},
	{"source/kube", "sluice.io/sluice/resolve", "source must not know what objects mean"},
	{"source/kube", "sluice.io/sluice/source/file", "the two sources never know each other"},
	{"source/file", "k8s.io/client-go", "a folder needs no API server"},
	{"resolve", "k8s.io/client-go", "resolve is pure: it asks nobody"},
	{"resolve", "sluice.io/sluice/source/kube", "resolve must not know where objects come from"},
	{"agent", "k8s.io/client-go", "the agent gets its source from the command"},
	{"agent", "sluice.io/sluice/source/kube", "the agent gets its source from the command"},
	{"agent", "sluice.io/sluice/controller", "the loop writes nothing to the API server"},
	{"agent", "sluice.io/sluice/report", "the loop writes nothing to the API server"},
	{"report", "sluice.io/sluice/controller", "reports know nothing of what is made of them"},
	{"report", "sluice.io/sluice/xds", "reports are in the model's words"},
	{"controller", "sluice.io/sluice/agent", "the controller knows no nodes' state"},
	{"controller", "sluice.io/sluice/xds", "the controller must not know the sinks"},
	{"controller", "sluice.io/sluice/redirect", "the controller must not know the sinks"},
	{"controller", "github.com/cilium/ebpf", "only redirect and bpf talk BPF"},
	{"controller", "github.com/envoyproxy/", "only xds speaks Envoy's API"},
	{"controller/queue", "sluice.io/sluice/", "the order of the work knows nothing of the work"},
	{"controller/pool", "sluice.io/sluice/controller", "who has an address is asked, and asks nobody"},
	{"controller/pool", "sluice.io/sluice/source", "who has an address is asked, and asks nobody"},
	{"controller/pool", "k8s.io/client-go", "who has an address is asked, and asks nobody"},
	{"controller/object", "sluice.io/sluice/controller/status", "objects and statuses are told of each other by the controller"},
	{"controller/object", "sluice.io/sluice/controller/pool", "what is made knows nothing of what it is for"},
	{"controller/object", "sluice.io/sluice/resolve", "what is made knows nothing of what it is for"},
	{"controller/status", "sluice.io/sluice/controller/object", "objects and statuses are told of each other by the controller"},
	{"controller/status", "sluice.io/sluice/controller/pool", "a status knows nothing of why it is so"},
	{"controller/status", "sluice.io/sluice/resolve", "a status knows nothing of why it is so"},
	{"observe/health", "sluice.io/sluice/", "probes know nothing of what they probe"},
	{"observe/health", "k8s.io/", "probes know nothing of what they probe"},
	{"crds/v1alpha1", "sluice.io/sluice/", "API types are a leaf, for others to import"},
	{"identity", "k8s.io/", "identities are the same on a plain host"},
	{"identity", "sluice.io/sluice/", "who runs and who signs is told to the keeper"},
	{"identity", "github.com/envoyproxy/", "only xds speaks Envoy's API"},
	{"identity/ca", "k8s.io/", "the built-in authority is for plain hosts"},
	{"identity/ca", "github.com/envoyproxy/", "only xds speaks Envoy's API"},
	{"identity/certmanager", "github.com/cert-manager/", "its module has the dependencies of all its issuers"},
	{"identity/certmanager", "sluice.io/sluice/source", "identities know nothing of where workloads are learned from"},
	{"identity/certmanager", "github.com/envoyproxy/", "only xds speaks Envoy's API"},
	{"identity/trust", "sluice.io/sluice/source", "identities know nothing of where workloads are learned from"},
	{"identity/trust", "sluice.io/sluice/identity/certmanager", "whom to trust is not for who signs to say"},
	{"identity/approver", "sluice.io/sluice/source", "the approver asks the API server itself"},
	{"identity/approver", "sluice.io/sluice/resolve", "who may have an identity has nothing to do with routes"},
	{"identity/approver", "github.com/envoyproxy/", "only xds speaks Envoy's API"},
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

// direct forbids imports that a package may well reach through others.
var direct = []edge{
	{"agent", "k8s.io/", "the loop carries objects, it doesn't look into them"},
	{"agent", "sigs.k8s.io/", "the loop carries objects, it doesn't look into them"},
	{"agent", "github.com/cilium/ebpf", "only redirect and bpf talk BPF"},
	{"agent", "github.com/envoyproxy/", "only xds speaks Envoy's API"},
	{"cmd/sluice", "k8s.io/", "flags and output only"},
	{"cmd/sluice", "github.com/cilium/ebpf", "only redirect and bpf talk BPF"},
	{"cmd/sluice", "github.com/envoyproxy/", "only xds speaks Envoy's API"},
	{"envoy", "github.com/envoyproxy/", "the bootstrap is xds's to write"},
}

// quantities are a notation for amounts, which flags have as well.
const quantities = "k8s.io/apimachinery/pkg/api/resource"

func TestDirectImports(t *testing.T) {
	for _, e := range direct {
		for _, d := range list(t, "-f", `{{join .Imports "\n"}}`, module+e.from) {
			if reaches(d, e.to) && d != quantities {
				t.Errorf("%s imports %s: %s", e.from, d, e.reason)
			}
		}
	}
}

// parts lists what each part of resolve may import of the others. That none of them
// imports resolve itself, the compiler sees to.
var parts = map[string][]string{
	"object":     {},
	"finding":    {},
	"index":      {},
	"hostname":   {},
	"credential": {},
	"claim":      {"object"},
	"reference":  {"credential", "finding", "index", "object"},
	"rules":      {"finding", "hostname", "index", "object"},
	"gateway":    {"finding", "hostname", "object"},
	"backend":    {"finding", "object"},
	"workload":   {"finding", "object"},
	"pool":       {"index"},
	"release":    {"finding"},
}

// TestPartsOfResolve wants what reads one kind of objects to know nothing of what
// reads others: how they belong together is the resolver's to say.
func TestPartsOfResolve(t *testing.T) {
	const resolve = module + "resolve/"
	for _, pkg := range list(t, module+"resolve/...") {
		part := strings.TrimPrefix(pkg, resolve)
		if part == pkg || part == "resolvetest" {
			continue
		}
		may, ok := parts[part]
		if !ok {
			t.Errorf("%s is not listed: say what it may import", pkg)
		}
		for _, d := range list(t, "-f", `{{join .Imports "\n"}}`, pkg) {
			if other, in := strings.CutPrefix(d, resolve); in && !slices.Contains(may, other) {
				t.Errorf("%s imports %s, which it must not know", pkg, d)
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

// dependencies lists a package's imports, transitively.
func dependencies(t *testing.T, pkg string) []string {
	t.Helper()
	return list(t, "-deps", module+pkg)
}

// list asks the go command. A package that has gone fails the test: its edges
// must not be forgotten.
func list(t *testing.T, args ...string) []string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("go list %v: %v\n%s", args, err, out)
	}
	return strings.Fields(string(out))
}
