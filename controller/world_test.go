package controller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/source/kube"
	"sluice.io/sluice/test/apiserver"
)

func TestMain(m *testing.M) {
	kube.QuietLibraries(slog.New(slog.DiscardHandler))
	apiserver.Main(m, "slo", 22, func() error {
		return goleak.Find(goleak.IgnoreTopFunction("k8s.io/client-go/util/workqueue.(*Typed[...]).updateUnfinishedWorkLoop"))
	})
}

// world is an API server with what a test needs around a controller.
type world struct {
	*apiserver.Server
	t      *testing.T
	ns     string // for Gateways
	system string // of the controller
	copies string
	class  string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	api := apiserver.Get(t)
	name := strings.ToLower(strings.TrimPrefix(t.Name(), "Test"))
	name = "slt-" + strings.Map(plain, name)[:min(len(name), 20)]
	w := &world{Server: api, t: t, ns: api.Namespace(t, name), system: api.Namespace(t, name+"-system"), copies: api.Namespace(t, name+"-copies"), class: name}
	w.makeClass(w.class, Name)
	t.Cleanup(func() { w.endClass(w.class) })
	for _, ns := range []string{w.ns, w.system} {
		w.await("what pods need there", func() bool {
			return read[corev1.ServiceAccount](w, "/api/v1/namespaces/"+ns+"/serviceaccounts/default") != nil
		})
	}
	return w
}

func plain(c rune) rune {
	if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
		return c
	}
	return '-'
}

// node makes the ready pods of a node's Envoy and agent.
func (w *world) node(name, ip string) {
	w.t.Helper()
	for _, app := range []string{"envoy", "agent"} {
		w.Apply(w.t, fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %[1]s-%[3]s, namespace: %[2]s, labels: {app: %[1]s}}
spec: {nodeName: %[3]s, hostNetwork: true, containers: [{name: c, image: example.com/none}], automountServiceAccountToken: false}
`, app, w.system, name))
	}
	w.agentReady(name, true)
	w.ready(name, ip, true)
}

// ready has a node's Envoy be ready, or not.
func (w *world) ready(name, ip string, ready bool) {
	w.t.Helper()
	w.podReady("envoy-"+name, ip, ready)
}

// agentReady has a node's agent be ready, or not.
func (w *world) agentReady(name string, ready bool) {
	w.t.Helper()
	w.podReady("agent-"+name, "10.9.0.99", ready)
}

func (w *world) podReady(pod, ip string, ready bool) {
	w.t.Helper()
	w.Kube(w.t, "patch", "pod", "-n", w.system, pod, "--subresource=status", "--type=merge", "-p",
		fmt.Sprintf(`{"status":{"podIP":%q,"podIPs":[{"ip":%q}],"conditions":[{"type":"Ready","status":%q}]}}`, ip, ip, strings.Title(fmt.Sprint(ready)))) //nolint:staticcheck // one ASCII word
}

func (w *world) pool(addresses string) {
	w.t.Helper()
	w.Apply(w.t, fmt.Sprintf("apiVersion: sluice.io/v1alpha1\nkind: AddressPool\nmetadata: {name: %s}\nspec: {addresses: [%s]}\n", w.ns, addresses))
	w.t.Cleanup(func() { w.Kube(w.t, "delete", "addresspool", w.ns) })
}

func (w *world) gateway(name, extra string) { w.t.Helper(); w.gatewayOf(name, extra, w.class) }

func (w *world) gatewayOf(name, extra, class string) {
	w.t.Helper()
	w.Apply(w.t, fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: %s, namespace: %s}
spec:
  gatewayClassName: %s
  %s
  listeners:
  - {name: http, port: 80, protocol: HTTP}
`, name, w.ns, class, extra))
}

// endClass removes a class, also when nobody leads who would let it go.
func (w *world) endClass(name string) {
	w.Kube(w.t, "delete", "gatewayclass", name, "--wait=false", "--ignore-not-found")
	if read[gatewayv1.GatewayClass](w, "/apis/gateway.networking.k8s.io/v1/gatewayclasses/"+name) != nil {
		_, _ = w.Kubectl(context.Background(), "patch", "gatewayclass", name, "--type=merge", "-p", `{"metadata":{"finalizers":null}}`) // it may go meanwhile
	}
}

func (w *world) makeClass(name, controller string) {
	w.t.Helper()
	w.Apply(w.t, fmt.Sprintf("apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: %s}\nspec: {controllerName: %s}\n", name, controller))
}

func (w *world) options(config *rest.Config, identity string) Options {
	return Options{
		Config: config, Namespace: w.system, Identity: identity, EnvoyPods: "app=envoy", AgentPods: "app=agent", Copies: w.copies, Log: slog.New(slog.DiscardHandler),
	}
}

// replica is a controller that runs.
type replica struct {
	*Controller
	cancel context.CancelFunc
	done   chan error
}

func (w *world) start(o Options) *replica {
	w.t.Helper()
	c, err := New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &replica{Controller: c, cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- c.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-r.done; err != nil && !errors.Is(err, ErrLeadLost) {
			w.t.Error(err)
		}
	})
	return r
}

func (r *replica) stop() error {
	r.cancel()
	err := <-r.done
	r.done <- nil
	return err
}

func (w *world) run() *replica { return w.start(w.options(w.Config(w.t), "one")) }

// metric is what Prometheus is told of one; zero when it is not.
func (r *replica) metric(t *testing.T, name string) int {
	t.Helper()
	recorder := httptest.NewRecorder()
	r.Health().Handler().ServeHTTP(recorder, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(recorder.Body.String()) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			n, err := strconv.Atoi(strings.TrimSpace(value))
			if err != nil {
				t.Fatalf("%s is %q", name, value)
			}
			return n
		}
	}
	return 0
}

func read[T any](w *world, path string) *T {
	w.t.Helper()
	var into T
	if !w.Read(w.t, path, &into) {
		return nil
	}
	return &into
}

func (w *world) readGateway(name string) *gatewayv1.Gateway {
	return read[gatewayv1.Gateway](w, "/apis/gateway.networking.k8s.io/v1/namespaces/"+w.ns+"/gateways/"+name)
}

func (w *world) service(name string) *corev1.Service {
	return read[corev1.Service](w, "/api/v1/namespaces/"+w.ns+"/services/"+name)
}

func (w *world) route(name string) *gatewayv1.HTTPRoute {
	return read[gatewayv1.HTTPRoute](w, "/apis/gateway.networking.k8s.io/v1/namespaces/"+w.ns+"/httproutes/"+name)
}

func (w *world) readPool() *v1alpha1.AddressPool {
	return read[v1alpha1.AddressPool](w, "/apis/sluice.io/v1alpha1/addresspools/"+w.ns)
}

func addressList(g *gatewayv1.Gateway) string {
	var all []string
	for _, a := range g.Status.Addresses {
		all = append(all, a.Value)
	}
	return strings.Join(all, " ")
}

func (w *world) await(what string, ok func() bool) {
	w.t.Helper()
	apiserver.Eventually(w.t, what, ok)
}

func condition(g *gatewayv1.Gateway, kind string) string {
	for _, c := range g.Status.Conditions {
		if c.Type == kind && c.ObservedGeneration == g.Generation {
			return string(c.Status) + " " + c.Reason
		}
	}
	return ""
}

// lockedBuffer is a buffer for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lockedBuffer) Len() int { return len(l.String()) }
