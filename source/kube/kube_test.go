package kube

import (
	"context"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/crds"
	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
	"sluice.io/sluice/test/apiserver"
)

func TestMain(m *testing.M) {
	QuietLibraries(slog.New(slog.DiscardHandler))
	apiserver.Main(m, "slk", 21, func() error { return goleak.Find() })
}

// reader runs a source and keeps what it says.
type reader struct {
	t      *testing.T
	source *Source
	cancel context.CancelFunc
	done   chan error

	mu       sync.Mutex
	batches  []source.Batch
	all      map[model.ObjectRef]*source.Object
	problems []source.Problem
}

func read(t *testing.T, o Options) *reader {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &reader{t: t, source: s, cancel: cancel, done: make(chan error, 1), all: map[model.ObjectRef]*source.Object{}}
	go func() { r.done <- s.Run(ctx, r.take) }()
	t.Cleanup(r.stop)
	return r
}

func (r *reader) stop() {
	r.cancel()
	if err, ok := <-r.done; ok {
		close(r.done)
		if err != nil {
			r.t.Error(err)
		}
	}
}

func (r *reader) take(b source.Batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.batches = append(r.batches, b)
	if b.Problems != nil {
		r.problems = b.Problems
	}
	for ref, o := range b.Changed {
		if o == nil {
			delete(r.all, ref)
		} else {
			r.all[ref] = o
		}
	}
}

func (r *reader) get(kind, namespace, name string) *source.Object {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all[model.ObjectRef{Kind: kind, Namespace: namespace, Name: name}]
}

func (r *reader) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.batches)
}

// since are the objects that changed in batches from the n-th on.
func (r *reader) since(n int) map[model.ObjectRef]*source.Object {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[model.ObjectRef]*source.Object{}
	for _, b := range r.batches[n:] {
		maps.Copy(all, b.Changed)
	}
	return all
}

func (r *reader) problem(text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.problems, func(p source.Problem) bool { return strings.Contains(p.Message, text) })
}

func (r *reader) await(what string, ok func() bool) {
	r.t.Helper()
	apiserver.Eventually(r.t, what, ok)
}

func (r *reader) begun() {
	r.t.Helper()
	r.await("the first batch", func() bool { return r.count() > 0 })
}

func shopYAML(ns string) string {
	return strings.ReplaceAll(`
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: NS, annotations: {note: kept}}
spec: {selector: {app: cart}, ports: [{port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: cart, namespace: NS}
spec:
  parentRefs: [{kind: Service, group: "", name: cart, port: 80}]
  rules: [{backendRefs: [{name: cart, port: 80}]}]
`, "NS", ns)
}

func TestFirstAllThenChanges(t *testing.T) {
	api := apiserver.Get(t)
	ns := api.Namespace(t, "slt-first")
	api.Apply(t, shopYAML(ns))
	r := read(t, Options{Config: api.Config(t), Pods: true, OfNode: "nowhere", Copies: "sluice-secrets"})
	r.begun()
	svc := r.get("Service", ns, "cart")
	if svc == nil || r.get("HTTPRoute", ns, "cart") == nil || r.get("Namespace", "", ns) == nil || r.get("Service", "default", "kubernetes") == nil {
		t.Fatalf("the first batch is not complete: %d objects", len(r.since(0)))
	}
	if got := svc.KubeObject.(*corev1.Service); got.ManagedFields != nil || got.Spec.Selector != nil || len(got.Annotations) != 1 || got.Annotations["note"] != "kept" {
		t.Errorf("the Service is not trimmed: %+v", got)
	}
	if svc.Origin.Object != (model.ObjectRef{Kind: "Service", Namespace: ns, Name: "cart"}) || svc.Origin.Rule != -1 || svc.Origin.File != "" {
		t.Errorf("origin %+v", svc.Origin)
	}

	// What nobody reads is no change: a selector, a status.
	n := r.count()
	api.Kube(t, "patch", "service", "-n", ns, "cart", "-p", `{"spec":{"selector":{"app":"other"}}}`)
	api.Kube(t, "patch", "httproute", "-n", ns, "cart", "--subresource=status", "--type=merge", "-p",
		`{"status":{"parents":[{"controllerName":"example.com/other","parentRef":{"name":"cart"},"conditions":[{"type":"Accepted","status":"True","reason":"Accepted","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}]}}`)
	api.Kube(t, "label", "httproute", "-n", ns, "cart", "tier=one")
	r.await("the label", func() bool { return r.get("HTTPRoute", ns, "cart").GetLabels()["tier"] == "one" })
	if got := len(r.since(n)); got != 1 {
		t.Errorf("%d objects were told for one that changed: %v", got, slices.Collect(maps.Keys(r.since(n))))
	}
	if got := r.get("HTTPRoute", ns, "cart").KubeObject.(*gatewayv1.HTTPRoute); got.Status.Parents != nil {
		t.Errorf("the status of others is kept: %+v", got.Status)
	}

	api.Kube(t, "delete", "httproute", "-n", ns, "cart")
	r.await("the route has gone", func() bool { return r.get("HTTPRoute", ns, "cart") == nil })
}

func podYAML(ns, name, node, extra string) string {
	return strings.NewReplacer("NS", ns, "NAME", name, "NODE", node, "EXTRA", extra).Replace(`
apiVersion: v1
kind: Pod
metadata: {name: NAME, namespace: NS, labels: {app: NAME}}
spec: {nodeName: NODE, EXTRA containers: [{name: c, image: example.com/none}], automountServiceAccountToken: false}
---
`)
}

func TestPodsOfTheNodeBecomeWorkloads(t *testing.T) {
	api := apiserver.Get(t)
	ns := api.Namespace(t, "slt-pods", "sluice.io/mesh=enabled")
	api.Apply(t, podYAML(ns, "web", "ghost1", "")+podYAML(ns, "far", "ghost2", "")+podYAML(ns, "host", "ghost1", "hostNetwork: true, "))
	r := read(t, Options{
		Config: api.Config(t), Pods: true, OfNode: "ghost1", Copies: "sluice-secrets",
		Cgroup: func(uid string, class QoS) string { return "/" + string(class) + "/" + uid },
	})
	r.begun()
	w := r.get("Workload", ns, "web")
	if w == nil || r.get("Workload", ns, "far") != nil || r.get("Workload", ns, "host") != nil {
		t.Fatalf("Workloads: %v", w)
	}
	uid := api.Kube(t, "get", "pod", "-n", ns, "web", "-o", "jsonpath={.metadata.uid}")
	spec := w.KubeObject.(*v1alpha1.Workload).Spec
	if *spec.Cgroup != "/BestEffort/"+uid || spec.ServiceAccount != "default" || w.GetLabels()["app"] != "web" || w.Origin.Object.Kind != "Pod" {
		t.Errorf("%+v, cgroup %s, origin %v", spec, *spec.Cgroup, w.Origin)
	}

	for _, step := range []struct {
		kind, name, label string
		in                bool
	}{
		{"pod", "web", "sluice.io/mesh=disabled", false},
		{"pod", "web", "sluice.io/mesh=enabled", true},
		{"namespace", ns, "sluice.io/mesh-", true},
		{"pod", "web", "sluice.io/mesh-", false},
		{"namespace", ns, "sluice.io/mesh=enabled", true},
	} {
		api.Kube(t, "label", "--overwrite", "-n", ns, step.kind, step.name, step.label)
		api.Kube(t, "label", "--overwrite", "namespace", ns, "step="+strings.Trim(strings.Map(plain, step.kind+step.label), "-"))
		r.await("the namespace's label", func() bool {
			return r.get("Namespace", "", ns).GetLabels()["step"] == strings.Trim(strings.Map(plain, step.kind+step.label), "-")
		})
		r.await("the pod follows "+step.kind+" "+step.label, func() bool { return (r.get("Workload", ns, "web") != nil) == step.in })
	}
	api.Kube(t, "delete", "pod", "-n", ns, "web", "--force")
	r.await("the Workload has gone", func() bool { return r.get("Workload", ns, "web") == nil })
}

// plain makes a label's value of any text.
func plain(c rune) rune {
	if c >= 'a' && c <= 'z' {
		return c
	}
	return '-'
}

func copiesNamespace(t *testing.T, api *apiserver.Server) string {
	return api.Namespace(t, "slt-copies-"+strings.ToLower(strings.TrimPrefix(t.Name(), "Test"))[:8])
}

func copyYAML(ns, name, from, data string) string {
	return strings.NewReplacer("NS", ns, "NAME", name, "FROM", from, "DATA", data).Replace(`
apiVersion: v1
kind: Secret
metadata: {name: NAME, namespace: NS, annotations: {sluice.io/copied-from: FROM}}
stringData: {tls.crt: DATA}
---
`)
}

func TestCopiesHaveTheNamesOfTheirOriginals(t *testing.T) {
	api := apiserver.Get(t)
	ns := copiesNamespace(t, api)
	api.Apply(t, copyYAML(ns, "abc", "Secret/shop/cert", "one")+copyYAML(ns, "bad", "nonsense", "x"))
	api.Kube(t, "create", "secret", "generic", "-n", ns, "other", "--from-literal=a=b")
	r := read(t, Options{Config: api.Config(t), Pods: true, OfNode: "nowhere", Copies: ns})
	r.begun()
	got := r.get("Secret", "shop", "cert")
	if got == nil || got.Origin.Object.Namespace != "shop" || got.GetName() != "cert" || string(got.KubeObject.(*corev1.Secret).Data["tls.crt"]) != "one" {
		t.Fatalf("the copy: %+v", got)
	}
	for ref := range r.since(0) {
		if ref.Kind == "Secret" && ref.Name != "cert" {
			t.Errorf("%s is no copy, and is told all the same", ref)
		}
	}
	api.Apply(t, copyYAML(ns, "abc", "Secret/shop/cert", "two"))
	r.await("the new content", func() bool {
		return string(r.get("Secret", "shop", "cert").KubeObject.(*corev1.Secret).Data["tls.crt"]) == "two"
	})
	api.Kube(t, "delete", "secret", "-n", ns, "abc")
	r.await("the copy has gone", func() bool { return r.get("Secret", "shop", "cert") == nil })
}

func TestDocumentsAreFetchedWhenReferredTo(t *testing.T) {
	api := apiserver.Get(t)
	ns := api.Namespace(t, "slt-docs")
	for _, name := range []string{"cert", "other"} {
		api.Kube(t, "create", "secret", "generic", "-n", ns, name, "--from-literal=tls.crt=one")
	}
	gateway := `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: ` + ns + `}
spec:
  gatewayClassName: none
  listeners:
  - {name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: CERT}]}}
`
	api.Apply(t, strings.ReplaceAll(gateway, "CERT", "cert"))
	r := read(t, Options{Config: api.Config(t), Live: func(model.ObjectRef, source.KubeObject) {}})
	r.begun()
	has := func(name, value string) bool {
		o := r.get("Secret", ns, name)
		return o != nil && string(o.KubeObject.(*corev1.Secret).Data["tls.crt"]) == value
	}
	if !has("cert", "one") || r.get("Secret", ns, "other") != nil {
		t.Fatalf("cert %v, other %v", r.get("Secret", ns, "cert"), r.get("Secret", ns, "other"))
	}
	api.Kube(t, "patch", "secret", "-n", ns, "cert", "-p", `{"stringData":{"tls.crt":"two"}}`)
	r.await("the new content", func() bool { return has("cert", "two") })
	api.Apply(t, strings.ReplaceAll(gateway, "CERT", "other"))
	r.await("the other one, and no longer the first", func() bool { return has("other", "one") && r.get("Secret", ns, "cert") == nil })
	api.Kube(t, "delete", "secret", "-n", ns, "other")
	r.await("it has gone", func() bool { return r.get("Secret", ns, "other") == nil })
	api.Kube(t, "create", "secret", "generic", "-n", ns, "other", "--from-literal=tls.crt=three")
	r.await("it is back", func() bool { return has("other", "three") })
}

func TestDocumentedRightsSuffice(t *testing.T) {
	api := apiserver.Get(t)
	copies := copiesNamespace(t, api)
	rights := apiserver.Documented(t, "agent", map[string]string{"sluice-secrets": copies, "its own namespace (--namespace)": "default"})
	r := read(t, Options{Config: api.As(t, "slt-agent", rights), Pods: true, OfNode: "ghost1", Copies: copies})
	r.begun()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.problems) > 0 {
		t.Errorf("problems: %v", r.problems)
	}
}

func TestACRDThatComesAndGoes(t *testing.T) {
	api := apiserver.Get(t)
	ns := api.Namespace(t, "slt-crd")
	crd, err := fs.ReadFile(crds.Files(), "gateway/gateway.networking.k8s.io_udproutes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	route := `
apiVersion: gateway.networking.k8s.io/v1
kind: UDPRoute
metadata: {name: dns, namespace: ` + ns + `}
spec: {parentRefs: [{name: gw}], rules: [{backendRefs: [{name: dns, port: 53}]}]}
`
	api.Apply(t, route)
	restore := func() {
		api.Kube(t, "wait", "--for=delete", "crd/udproutes.gateway.networking.k8s.io", "--timeout=60s")
		api.Create(t, string(crd))
		api.Kube(t, "wait", "--for=condition=Established", "crd/udproutes.gateway.networking.k8s.io", "--timeout=60s")
	}
	restored := false
	t.Cleanup(func() {
		if !restored {
			restore()
		}
	})
	r := read(t, Options{Config: api.Config(t), Pods: true, OfNode: "nowhere", Copies: "sluice-secrets"})
	r.begun()
	if r.get("UDPRoute", ns, "dns") == nil {
		t.Fatal("the route is not read")
	}
	api.Kube(t, "delete", "crd", "udproutes.gateway.networking.k8s.io")
	r.await("the route has gone, and the CRD's absence is told", func() bool {
		return r.get("UDPRoute", ns, "dns") == nil && r.problem("udproutes.gateway.networking.k8s.io are not served")
	})
	late := read(t, Options{Config: api.Config(t), Pods: true, OfNode: "nowhere", Copies: "sluice-secrets"})
	late.begun()
	if !late.problem("udproutes") || late.get("Service", "default", "kubernetes") == nil {
		t.Errorf("a start without the CRD: %v", late.problems)
	}
	restore()
	restored = true
	api.Apply(t, route)
	for _, reader := range []*reader{r, late} {
		r.await("the CRD is found", func() bool { return reader.get("UDPRoute", ns, "dns") != nil && !reader.problem("udproutes") })
	}
}

// memory is a folder in memory for a test.
func memory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "slt-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "secrets")
}

func TestTheAPIServerGoesAndComesBack(t *testing.T) {
	api := apiserver.Get(t)
	ns := api.Namespace(t, "slt-away", "sluice.io/mesh=enabled")
	copies := copiesNamespace(t, api)
	api.Apply(t, shopYAML(ns)+"---"+podYAML(ns, "web", "ghost1", "")+copyYAML(copies, "abc", "Secret/shop/cert", "one"))
	options := func(config *rest.Config) Options {
		return Options{Config: config, Pods: true, OfNode: "ghost1", Copies: copies}
	}
	state, secrets := filepath.Join(t.TempDir(), "state"), memory(t)
	o := options(api.Config(t))
	o.StateDir, o.SecretsDir = state, secrets
	first := read(t, o)
	first.begun()
	api.Kube(t, "label", "service", "-n", ns, "cart", "tier=two")
	first.await("the label", func() bool { return first.get("Service", ns, "cart").GetLabels()["tier"] == "two" })

	api.Stop(t)
	t.Cleanup(func() { api.Start(t) })
	first.await("its absence is told", func() bool { return first.problem("the API server cannot be watched") })
	if first.get("Service", ns, "cart") == nil || first.get("Secret", "shop", "cert") == nil {
		t.Fatal("what was known is gone with the API server")
	}
	first.stop()

	again := options(api.Config(t))
	again.StateDir, again.SecretsDir = state, secrets
	second := read(t, again)
	second.begun()
	for ref := range first.all {
		if second.all[ref] == nil {
			t.Errorf("%s did not survive the restart", ref)
		}
	}
	if len(second.all) != len(first.all) {
		t.Errorf("%d objects after the restart, %d before", len(second.all), len(first.all))
	}
	if got := second.get("Service", ns, "cart"); got == nil || got.GetLabels()["tier"] != "two" {
		t.Errorf("the last change did not survive: %v", got)
	}
	if w := second.get("Workload", ns, "web"); w == nil {
		t.Error("the pod did not survive as a Workload")
	}
	checkFiles(t, state, secrets)

	n := second.count()
	api.Start(t)
	api.Kube(t, "delete", "httproute", "-n", ns, "cart")
	api.Kube(t, "label", "service", "-n", ns, "cart", "tier=three", "--overwrite")
	second.await("the changes since then", func() bool {
		return second.get("HTTPRoute", ns, "cart") == nil && second.get("Service", ns, "cart").GetLabels()["tier"] == "three"
	})
	second.await("all is well again", func() bool { return !second.problem("cannot be watched") })
	for ref, obj := range second.since(n) {
		if obj == nil && ref.Namespace == ns && ref.Kind != "HTTPRoute" {
			t.Errorf("%s was lost on the way", ref)
		}
	}
}

func checkFiles(t *testing.T, state, secrets string) {
	t.Helper()
	for _, dir := range []string{state, secrets} {
		info, err := os.Stat(filepath.Join(dir, "cluster-state"))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the state in %s: %v, %v", dir, info, err)
		}
	}
	j := newJournal(Options{Copies: "any", Pods: true}, state, func(string) bool { return true }, slog.New(slog.DiscardHandler))
	for ref := range j.read() {
		if ref.Kind == kindSecret {
			t.Errorf("%s is on disk", ref)
		}
	}
}
