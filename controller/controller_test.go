package controller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
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
	w.Apply(t, fmt.Sprintf("apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: %s}\nspec: {controllerName: sluice.io/gateway-controller}\n", w.class))
	t.Cleanup(func() { w.Kube(t, "delete", "gatewayclass", w.class) })
	return w
}

func plain(c rune) rune {
	if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
		return c
	}
	return '-'
}

// node makes the ready pod of a node's Envoy.
func (w *world) node(name, ip string) {
	w.t.Helper()
	w.Apply(w.t, fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: envoy-%s, namespace: %s, labels: {app: envoy}}
spec: {nodeName: %s, hostNetwork: true, containers: [{name: c, image: example.com/none}], automountServiceAccountToken: false}
`, name, w.system, name))
	w.ready(name, ip, true)
}

func (w *world) ready(name, ip string, ready bool) {
	w.t.Helper()
	w.Kube(w.t, "patch", "pod", "-n", w.system, "envoy-"+name, "--subresource=status", "--type=merge", "-p",
		fmt.Sprintf(`{"status":{"podIP":%q,"podIPs":[{"ip":%q}],"conditions":[{"type":"Ready","status":%q}]}}`, ip, ip, strings.Title(fmt.Sprint(ready)))) //nolint:staticcheck // one ASCII word
}

func (w *world) pool(addresses string) {
	w.t.Helper()
	w.Apply(w.t, fmt.Sprintf("apiVersion: sluice.io/v1alpha1\nkind: AddressPool\nmetadata: {name: %s}\nspec: {addresses: [%s]}\n", w.ns, addresses))
	w.t.Cleanup(func() { w.Kube(w.t, "delete", "addresspool", w.ns) })
}

func (w *world) gateway(name, extra string) {
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
`, name, w.ns, w.class, extra))
}

func (w *world) options(config *rest.Config, identity string) Options {
	return Options{
		Config: config, Namespace: w.system, Identity: identity, EnvoyPods: "app=envoy", Copies: w.copies, Log: slog.New(slog.DiscardHandler),
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

func TestAGatewayGetsAServiceAndAddresses(t *testing.T) {
	w := newWorld(t)
	w.node("ghost1", "10.9.0.1")
	w.pool(`"192.0.2.10-192.0.2.12"`)
	w.gateway("gw", "infrastructure: {labels: {team: a}, annotations: {note: b}}")
	w.run()
	w.await("programmed", func() bool { return condition(w.readGateway("gw"), "Programmed") == "True Programmed" })
	if got := addressList(w.readGateway("gw")); got != "192.0.2.10" {
		t.Errorf("addresses %q", got)
	}
	w.await("the Service with its address", func() bool {
		svc := w.service("gw-" + w.class)
		return svc != nil && len(svc.Status.LoadBalancer.Ingress) > 0 && targetsIn(svc) != nil
	})
	svc := w.service("gw-" + w.class)
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer || *svc.Spec.LoadBalancerClass != poolClass || svc.Spec.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyLocal ||
		svc.Labels["team"] != "a" || svc.Annotations["note"] != "b" || svc.Labels[gatewayv1.GatewayNameLabelKey] != "gw" || svc.OwnerReferences[0].Name != "gw" {
		t.Errorf("Service %+v", svc)
	}
	if i := svc.Status.LoadBalancer.Ingress; len(i) != 1 || i[0].IP != "192.0.2.10" || *i[0].IPMode != corev1.LoadBalancerIPModeProxy {
		t.Errorf("ingress %+v", i)
	}
	target := svc.Spec.Ports[0].TargetPort.IntVal
	if c, want := targetsIn(svc), fmt.Sprintf("Gateway gw: 80/TCP=%d", target); c == nil || c.Message != want {
		t.Errorf("the status says %+v, want %q", c, want)
	}
	if target < firstTarget || target > lastTarget {
		t.Errorf("target port %d", target)
	}
	slicePath := "/apis/discovery.k8s.io/v1/namespaces/" + w.ns + "/endpointslices/gw-" + w.class + "-ipv4-0"
	w.await("the slice", func() bool { return read[discoveryv1.EndpointSlice](w, slicePath) != nil })
	slice := read[discoveryv1.EndpointSlice](w, slicePath)
	if len(slice.Endpoints) != 1 || slice.Endpoints[0].Addresses[0] != "10.9.0.1" || *slice.Endpoints[0].NodeName != "ghost1" || *slice.Ports[0].Port != target {
		t.Errorf("slice %+v", slice)
	}

	// What somebody breaks is put right, what is theirs stays.
	w.Kube(t, "patch", "service", "-n", w.ns, svc.Name, "--type=json", "-p",
		`[{"op":"replace","path":"/spec/ports/0/targetPort","value":1234},{"op":"add","path":"/metadata/annotations/theirs","value":"x"},{"op":"replace","path":"/spec/externalTrafficPolicy","value":"Cluster"}]`)
	w.await("the target port is back", func() bool { return w.service(svc.Name).Spec.Ports[0].TargetPort.IntVal == target })
	if now := w.service(svc.Name); now.Annotations["theirs"] != "x" || now.Spec.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyCluster {
		t.Errorf("what others set is gone: %+v", now)
	}
	w.Kube(t, "delete", "service", "-n", w.ns, svc.Name)
	w.await("the Service is back with its port and address", func() bool {
		now := w.service(svc.Name)
		return now != nil && now.Spec.Ports[0].TargetPort.IntVal == target && len(now.Status.LoadBalancer.Ingress) == 1
	})

	w.gateway("gw", "infrastructure: {labels: {team: c}}")
	w.await("labels follow, and what was taken out goes", func() bool {
		now := w.service(svc.Name)
		if now == nil {
			return false
		}
		_, there := now.Annotations["note"]
		return now.Labels["team"] == "c" && !there
	})
	w.Kube(t, "delete", "gateway", "-n", w.ns, "gw")
	w.await("all that was made for it goes", func() bool {
		return w.service(svc.Name) == nil && read[discoveryv1.EndpointSlice](w, slicePath) == nil && w.readPool().Status.Assigned == 0
	})
}

// TestGatewaysThatComeAndGo: what was made for a Gateway that has gone in the
// meantime is not missed, nor made again.
func TestGatewaysThatComeAndGo(t *testing.T) {
	w := newWorld(t)
	w.node("ghost1", "10.9.0.1")
	w.pool(`"192.0.2.128/28"`)
	var log lockedBuffer
	o := w.options(w.Config(t), "one")
	o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	w.start(o)
	for i := range 8 {
		w.gateway(fmt.Sprintf("gw%d", i), "")
		if i%2 == 0 {
			w.await("its Service", func() bool { return w.service(fmt.Sprintf("gw%d-%s", i, w.class)) != nil })
		}
		w.Kube(t, "delete", "gateway", "-n", w.ns, fmt.Sprintf("gw%d", i), "--cascade=foreground")
	}
	w.gateway("last", "")
	w.await("the last one is served", func() bool { return condition(w.readGateway("last"), "Programmed") == "True Programmed" })
	w.await("nothing is left of the others", func() bool {
		services := read[corev1.ServiceList](w, "/api/v1/namespaces/"+w.ns+"/services").Items
		slices := read[discoveryv1.EndpointSliceList](w, "/apis/discovery.k8s.io/v1/namespaces/"+w.ns+"/endpointslices").Items
		return len(services) == 1 && len(slices) == 1 && w.readPool().Status.Assigned == 1
	})
	was := log.Len()
	time.Sleep(3 * time.Second) // as long as several attempts would take
	if text := log.String(); len(text) > was {
		t.Errorf("it is still at it:\n%s", text[was:])
	}
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

func TestAServiceOfOthersIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.node("ghost1", "10.9.0.1")
	w.Apply(t, fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {name: gw-%s, namespace: %s}\nspec: {ports: [{port: 7}]}\n", w.class, w.ns))
	w.gateway("gw", "")
	w.run()
	w.await("accepted", func() bool { return condition(w.readGateway("gw"), "Accepted") == "True Accepted" })
	w.gateway("gw2", "")
	w.await("the next Gateway's Service", func() bool { return w.service("gw2-"+w.class) != nil })
	if svc := w.service("gw-" + w.class); svc.Spec.Ports[0].Port != 7 || svc.Labels[managedBy] != "" {
		t.Errorf("it is %+v", svc)
	}
	if got := condition(w.readGateway("gw"), "Programmed"); !strings.HasPrefix(got, "False") {
		t.Errorf("Programmed is %s", got)
	}
}

func TestAddressesOfALoadBalancer(t *testing.T) {
	w := newWorld(t)
	w.node("ghost1", "10.9.0.1")
	w.gateway("gw", "")
	w.run()
	w.await("the Service", func() bool { return targetsIn(w.service("gw-"+w.class)) != nil })
	if svc := w.service("gw-" + w.class); svc.Spec.LoadBalancerClass != nil || svc.Spec.Ports[0].NodePort == 0 {
		t.Errorf("Service %+v", svc.Spec)
	}
	w.await("not programmed without an address", func() bool { return condition(w.readGateway("gw"), "Programmed") == "False AddressNotAssigned" })
	w.Kube(t, "patch", "service", "-n", w.ns, "gw-"+w.class, "--subresource=status", "--type=merge", "-p", `{"status":{"loadBalancer":{"ingress":[{"ip":"198.51.100.7"},{"hostname":"lb.example.com"}]}}}`)
	w.Kube(t, "patch", "service", "-n", w.ns, "gw-"+w.class, "--subresource=status", "--type=json", "-p",
		`[{"op":"add","path":"/status/conditions/-","value":{"type":"example.com/Theirs","status":"True","reason":"Theirs","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}}]`)
	w.Kube(t, "patch", "service", "-n", w.ns, "gw-"+w.class, "--subresource=status", "--type=json", "-p", `[{"op":"replace","path":"/status/conditions/0/message","value":"Gateway gw: 80/TCP=20000"}]`)
	w.await("the status says what was allotted, and others' conditions stay", func() bool {
		svc := w.service("gw-" + w.class)
		return len(svc.Status.Conditions) == 2 && targetsIn(svc).Message == fmt.Sprintf("Gateway gw: 80/TCP=%d", svc.Spec.Ports[0].TargetPort.IntVal)
	})
	w.await("the load balancer's addresses", func() bool {
		g := w.readGateway("gw")
		return addressList(g) == "198.51.100.7 lb.example.com" && condition(g, "Programmed") == "True Programmed"
	})
}

func TestStaticAddresses(t *testing.T) {
	w := newWorld(t)
	w.node("ghost1", "10.9.0.1")
	w.pool(`"192.0.2.32/30"`)
	w.gateway("other", `addresses: [{type: IPAddress, value: 192.0.2.33}]`)
	w.run()
	w.await("its own", func() bool { return addressList(w.readGateway("other")) == "192.0.2.33" })
	w.gateway("gw", `addresses: [{type: IPAddress, value: 192.0.2.34}, {type: IPAddress, value: 203.0.113.1}]`)
	w.await("not of the pool", func() bool { return condition(w.readGateway("gw"), "Programmed") == "False AddressNotUsable" })
	w.gateway("gw", `addresses: [{type: IPAddress, value: 192.0.2.33}]`)
	w.await("another's", func() bool {
		g := w.readGateway("gw")
		return condition(g, "Programmed") == "False AddressNotUsable" && addressList(g) == ""
	})
	w.gateway("gw", `addresses: [{type: IPAddress, value: 192.0.2.34}]`)
	w.await("free", func() bool {
		g := w.readGateway("gw")
		return condition(g, "Programmed") == "True Programmed" && addressList(g) == "192.0.2.34"
	})
	w.gateway("gw", `addresses: [{type: IPAddress}]`)
	w.await("any: what it has", func() bool {
		g := w.readGateway("gw")
		return condition(g, "Programmed") == "True Programmed" && addressList(g) == "192.0.2.34"
	})
}

func TestAssignmentsOutlastTheControllerAndNodes(t *testing.T) {
	w := newWorld(t)
	w.node("ghost1", "10.9.0.1")
	w.node("ghost2", "10.9.0.2")
	w.pool(`"192.0.2.64/27"`)
	names := []string{"a", "b", "c", "d", "e", "f"}
	for _, n := range names {
		w.gateway(n, "")
	}
	first := w.run()
	w.await("all assigned", func() bool { return w.readPool().Status.Assigned == 6 })
	w.await("all programmed", func() bool {
		return !slices.ContainsFunc(names, func(n string) bool { return condition(w.readGateway(n), "Programmed") != "True Programmed" })
	})
	before := w.readPool().Status.Assignments
	versions := map[string]string{}
	for _, n := range names {
		versions[n] = w.readGateway(n).ResourceVersion + "/" + w.service(n+"-"+w.class).ResourceVersion
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	w.start(w.options(w.Config(t), "two"))
	w.gateway("g", "")
	w.await("another one", func() bool { return condition(w.readGateway("g"), "Programmed") == "True Programmed" })
	after := w.readPool().Status.Assignments
	if len(after) != 7 || !slices.Equal(after[:6], before) {
		t.Errorf("assignments were\n%v\nnow\n%v", before, after)
	}
	for _, n := range names {
		if now := w.readGateway(n).ResourceVersion + "/" + w.service(n+"-"+w.class).ResourceVersion; now != versions[n] {
			t.Errorf("Gateway %s or its Service was written without need: %s, %s", n, versions[n], now)
		}
	}

	w.ready("ghost1", "10.9.0.1", false)
	w.await("the addresses of the node move, others stay", func() bool {
		for i, a := range w.readPool().Status.Assignments {
			if a.Address != after[i].Address || a.Node != "ghost2" {
				return false
			}
		}
		return true
	})
	w.ready("ghost1", "10.9.0.1", true)
	w.await("and come back", func() bool { return slices.Equal(w.readPool().Status.Assignments, after) })
}

func routeYAML(ns string) string {
	return `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: cart, namespace: ` + ns + `}
spec:
  parentRefs: [{name: gw}, {name: foreign}]
  rules: [{backendRefs: [{name: nothing, port: 80}]}]
`
}

const theirs = `{"status":{"parents":[{"controllerName":"example.com/other","parentRef":{"name":"foreign"},"conditions":[{"type":"Accepted","status":"True","reason":"Accepted","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}]}}`

func ours(r *gatewayv1.HTTPRoute) (mine, others int) {
	for _, p := range r.Status.Parents {
		if p.ControllerName == Name {
			mine++
		} else {
			others++
		}
	}
	return mine, others
}

func TestOthersStatusesStay(t *testing.T) {
	w := newWorld(t)
	w.gateway("gw", "")
	w.Apply(t, routeYAML(w.ns))
	w.Kube(t, "patch", "httproute", "-n", w.ns, "cart", "--subresource=status", "--type=merge", "-p", theirs)
	w.run()
	both := func() bool { mine, others := ours(w.route("cart")); return mine == 1 && others == 1 }
	w.await("ours beside theirs", both)
	at := w.route("cart").Status.Parents[1].Conditions[0].LastTransitionTime
	time.Sleep(1100 * time.Millisecond) // the time of a transition has seconds
	w.Kube(t, "patch", "httproute", "-n", w.ns, "cart", "--type=merge", "-p", `{"spec":{"hostnames":["a.example.com"]}}`)
	w.await("the generation is observed", func() bool {
		r := w.route("cart")
		return both() && r.Status.Parents[1].Conditions[0].ObservedGeneration == r.Generation
	})
	if now := w.route("cart").Status.Parents[1].Conditions[0].LastTransitionTime; now != at {
		t.Errorf("the time of a transition that was none went from %s to %s", at, now)
	}
	w.Kube(t, "patch", "httproute", "-n", w.ns, "cart", "--type=merge", "-p", `{"spec":{"parentRefs":[{"name":"foreign"}]}}`)
	w.await("ours goes, theirs stays", func() bool { mine, others := ours(w.route("cart")); return mine == 0 && others == 1 })
}

// TestNoHotLoop: another controller takes the whole list for its own.
func TestNoHotLoop(t *testing.T) {
	w := newWorld(t)
	w.gateway("gw", "")
	w.Apply(t, routeYAML(w.ns))
	r := w.run()
	w.await("our status", func() bool { mine, _ := ours(w.route("cart")); return mine == 1 })
	writes := 0
	for range 40 {
		if mine, _ := ours(w.route("cart")); mine == 1 {
			w.Kube(t, "patch", "httproute", "-n", w.ns, "cart", "--subresource=status", "--type=merge", "-p", theirs)
			writes++
		}
		time.Sleep(50 * time.Millisecond)
	}
	if writes > patience+4 {
		t.Errorf("our status was written over and came back %d times in two seconds", writes)
	}
	recorder := httptest.NewRecorder()
	r.Health().Handler().ServeHTTP(recorder, httptest.NewRequest("GET", "/metrics", nil))
	body, _ := io.ReadAll(recorder.Body)
	if !strings.Contains(string(body), `sluice_controller_writes_total{kind="HTTPRoute",result="fought"}`) {
		t.Errorf("the metrics do not tell of the fight:\n%s", body)
	}
}

func TestOfTwoOneLeads(t *testing.T) {
	w := newWorld(t)
	one := w.start(w.options(w.Config(t), "one"))
	holder := func() string {
		return w.Kube(t, "get", "lease", "-n", w.system, "sluice-controller", "-o", "jsonpath={.spec.holderIdentity}")
	}
	w.await("one leads", func() bool { return one.ready() == nil && holder() == "one" })
	two := w.start(w.options(w.Config(t), "two"))
	w.await("two waits, ready", func() bool { return two.ready() == nil })
	w.gateway("gw", "")
	w.await("one works", func() bool { return condition(w.readGateway("gw"), "Accepted") != "" })
	began := time.Now()
	if err := one.stop(); err != nil {
		t.Errorf("one stops with %v", err)
	}
	w.await("two leads", func() bool { return holder() == "two" })
	if took := time.Since(began); took > leaseDuration-time.Second {
		t.Errorf("the Lease was not given up: two took %s", took)
	}
	w.gateway("gw2", "")
	w.await("two works", func() bool { return condition(w.readGateway("gw2"), "Accepted") != "" })
	if one.live() != nil || two.live() != nil {
		t.Errorf("alive: %v, %v", one.live(), two.live())
	}
}

func TestCopiesOfWhatIsUsed(t *testing.T) {
	w := newWorld(t)
	cert, key := certificate(t, "a.example.com")
	secret := func(name string) {
		w.Apply(t, fmt.Sprintf("apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {name: %s, namespace: %s}\ndata: {tls.crt: %s, tls.key: %s, more: %s}\n", name, w.ns, cert, key, key))
	}
	secret("used")
	secret("unused")
	listener := `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: %s}
spec:
  gatewayClassName: %s
  listeners:
  - {name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: %s}]}}
`
	w.Apply(t, fmt.Sprintf(listener, w.ns, w.class, "used"))
	r := w.run()
	list := func() []corev1.Secret {
		return read[corev1.SecretList](w, "/api/v1/namespaces/"+w.copies+"/secrets").Items
	}
	w.await("the copy", func() bool { return len(list()) == 1 })
	got := list()[0]
	if got.Annotations[kube.CopiedFrom] != "Secret/"+w.ns+"/used" || got.Type != corev1.SecretTypeTLS || len(got.Data) != 2 || got.Labels[managedBy] != manager {
		t.Errorf("copy %v of type %s with %d entries", got.Annotations, got.Type, len(got.Data))
	}
	other, otherKey := certificate(t, "b.example.com")
	w.Kube(t, "patch", "secret", "-n", w.ns, "used", "-p", fmt.Sprintf(`{"data":{"tls.crt":%q,"tls.key":%q}}`, other, otherKey))
	w.await("the copy follows", func() bool { return string(list()[0].Data["tls.crt"]) != string(got.Data["tls.crt"]) })
	w.Kube(t, "delete", "secret", "-n", w.copies, got.Name)
	w.await("the copy is made again", func() bool { return len(list()) == 1 })
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	w.Apply(t, fmt.Sprintf(listener, w.ns, w.class, "unused"))
	w.start(w.options(w.Config(t), "two"))
	w.await("another copy, and no more the first", func() bool {
		l := list()
		return len(l) == 1 && l[0].Annotations[kube.CopiedFrom] == "Secret/"+w.ns+"/unused"
	})
	w.Kube(t, "delete", "gateway", "-n", w.ns, "gw")
	w.await("none", func() bool { return len(list()) == 0 })
}

func TestDocumentedRightsSuffice(t *testing.T) {
	w := newWorld(t)
	w.node("ghost1", "10.9.0.1")
	w.pool(`"192.0.2.96"`)
	cert, key := certificate(t, "a.example.com")
	w.Apply(t, fmt.Sprintf("apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {name: cert, namespace: %s}\ndata: {tls.crt: %s, tls.key: %s}\n", w.ns, cert, key))
	w.gateway("gw", "")
	w.Kube(t, "patch", "gateway", "-n", w.ns, "gw", "--type=json", "-p",
		`[{"op":"add","path":"/spec/listeners/-","value":{"name":"tls","port":443,"protocol":"HTTPS","tls":{"certificateRefs":[{"name":"cert"}]}}}]`)
	w.Apply(t, routeYAML(w.ns))
	rights := apiserver.Documented(t, "controller", map[string]string{"sluice-secrets": w.copies, "its own namespace (--namespace)": w.system})
	var log lockedBuffer
	o := w.options(w.As(t, w.ns, rights), "one")
	o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	r := w.start(o)
	w.await("programmed", func() bool { return condition(w.readGateway("gw"), "Programmed") == "True Programmed" })
	w.await("the route's status", func() bool { mine, _ := ours(w.route("cart")); return mine == 1 })
	w.await("the copy", func() bool {
		return len(read[corev1.SecretList](w, "/api/v1/namespaces/"+w.copies+"/secrets").Items) == 1
	})
	w.Kube(t, "delete", "gateway", "-n", w.ns, "gw")
	w.await("all goes", func() bool {
		return w.service("gw-"+w.class) == nil && len(read[corev1.SecretList](w, "/api/v1/namespaces/"+w.copies+"/secrets").Items) == 0 && w.readPool().Status.Assigned == 0
	})
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if log.Len() > 0 {
		t.Errorf("the log complains:\n%s", log.String())
	}
}

func TestTheAPIServerGoesAndComesBack(t *testing.T) {
	w := newWorld(t)
	r := w.run()
	w.gateway("gw", "")
	w.await("accepted", func() bool { return condition(w.readGateway("gw"), "Accepted") == "True Accepted" })
	w.Stop(t)
	t.Cleanup(func() { w.Server.Start(t) })
	err := <-r.done
	r.done <- nil
	if !errors.Is(err, ErrLeadLost) {
		t.Fatalf("a leader without an API server ends with %v", err)
	}
	w.Server.Start(t)
	w.gateway("gw2", "")
	w.start(w.options(w.Config(t), "two"))
	w.await("the next one works", func() bool { return condition(w.readGateway("gw2"), "Accepted") == "True Accepted" })
}
