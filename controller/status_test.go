package controller

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/controller/queue"
	"sluice.io/sluice/controller/status"
)

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

// TestOthersConditionsStay among ours, when ours change and when they are taken back:
// those that controllers of policies write of what is affected.
func TestOthersConditionsStay(t *testing.T) {
	w := newWorld(t)
	other := w.class + "-other"
	w.makeClass(other, "example.com/other")
	t.Cleanup(func() { w.endClass(other) })
	w.gateway("gw", "")
	w.Apply(t, routeYAML(w.ns))
	r := w.run()
	w.await("our statuses", func() bool {
		mine, _ := ours(w.route("cart"))
		g := w.readGateway("gw")
		return mine == 1 && condition(g, "Accepted") == "True Accepted" && len(g.Status.Listeners) == 1
	})
	const kind = "example.com/LimitAffected"
	say := func(object, list string) {
		t.Helper()
		w.Kube(t, "patch", "-n", w.ns, object, "--subresource=status", "--type=json", "-p", fmt.Sprintf(
			`[{"op":"add","path":"/status/%s/-","value":{"type":%q,"status":"True","reason":"Affected","message":"theirs","observedGeneration":1,"lastTransitionTime":"2026-01-01T00:00:00Z"}}]`, list, kind))
	}
	say("gateway/gw", "conditions")
	say("gateway/gw", "listeners/0/conditions")
	say("httproute/cart", "parents/0/conditions")
	says := func(conditions []metav1.Condition) bool {
		return slices.ContainsFunc(conditions, func(c metav1.Condition) bool {
			return c.Type == kind && c.Message == "theirs" && c.ObservedGeneration == 1
		})
	}
	w.gateway("gw", "infrastructure: {labels: {team: a}}")
	w.Kube(t, "patch", "httproute", "-n", w.ns, "cart", "--type=merge", "-p", `{"spec":{"hostnames":["a.example.com"]}}`)
	w.await("the generations are observed", func() bool {
		route := w.route("cart")
		i := slices.IndexFunc(route.Status.Parents[0].Conditions, func(c metav1.Condition) bool { return c.Type == "Accepted" })
		return condition(w.readGateway("gw"), "Accepted") == "True Accepted" && i >= 0 && route.Status.Parents[0].Conditions[i].ObservedGeneration == route.Generation
	})
	if g, route := w.readGateway("gw"), w.route("cart"); !says(g.Status.Conditions) || !says(g.Status.Listeners[0].Conditions) || !says(route.Status.Parents[0].Conditions) {
		t.Errorf("theirs are gone: %+v, %+v", g.Status, route.Status)
	}
	w.gatewayOf("gw", "", other)
	w.await("ours are taken back", func() bool { return condition(w.readGateway("gw"), status.Programmed) == "Unknown Pending" })
	if g := w.readGateway("gw"); !says(g.Status.Conditions) || len(g.Status.Listeners) != 1 || len(g.Status.Listeners[0].Conditions) != 1 || !says(g.Status.Listeners[0].Conditions) {
		t.Errorf("theirs are gone: %+v", g.Status)
	}
	for _, kind := range []string{"Gateway", "HTTPRoute"} {
		if n := r.metric(t, fmt.Sprintf(`sluice_controller_writes_total{kind=%q,result="fought"}`, kind)); n > 0 {
			t.Errorf("%d writes of a %s were a fight", n, kind)
		}
	}
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
	if writes > queue.Patience+4 {
		t.Errorf("our status was written over and came back %d times in two seconds", writes)
	}
	if r.metric(t, `sluice_controller_writes_total{kind="HTTPRoute",result="fought"}`) == 0 {
		t.Error("the metrics do not tell of the fight")
	}
}

// TestStatusesInAnOlderVersion: the Gateway API v1.5 has TCPRoutes in v1alpha2 only.
func TestStatusesInAnOlderVersion(t *testing.T) {
	w := newWorld(t)
	const crd = "crd/tcproutes.gateway.networking.k8s.io"
	if first := w.Kube(t, "get", crd, "-o", "jsonpath={.spec.versions[*].name}"); first != "v1 v1alpha2" {
		t.Fatalf("the versions of TCPRoutes are %s", first)
	}
	routes := func(version string) string {
		return "/apis/gateway.networking.k8s.io/" + version + "/namespaces/" + w.ns + "/tcproutes"
	}
	served := func(version string) bool { // it says 429 while it changes
		_, err := w.Kubectl(context.Background(), "get", "--raw", routes(version))
		return err == nil
	}
	serve := func(v1 bool) {
		w.Kube(t, "patch", crd, "--type=json", "-p", fmt.Sprintf(`[{"op":"replace","path":"/spec/versions/0/served","value":%t}]`, v1))
		w.await("whether v1 is served", func() bool {
			return served("v1") == v1 && served("v1alpha2")
		})
	}
	t.Cleanup(func() { serve(true) })
	serve(false)
	w.Apply(t, fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: %[1]s}
spec:
  gatewayClassName: %[2]s
  listeners: [{name: tcp, port: 70, protocol: TCP}]
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: db, namespace: %[1]s}
spec:
  parentRefs: [{name: gw}]
  rules: [{backendRefs: [{name: nothing, port: 80}]}]
`, w.ns, w.class))
	w.run()
	observed := func() bool {
		r := read[gatewayv1.TCPRoute](w, routes("v1alpha2")+"/db")
		return len(r.Status.Parents) == 1 && r.Status.Parents[0].ControllerName == Name && r.Status.Parents[0].Conditions[0].ObservedGeneration == r.Generation
	}
	w.await("its status", observed)
	serve(true)
	w.Kube(t, "patch", "tcproutes.v1alpha2.gateway.networking.k8s.io", "-n", w.ns, "db", "--type=merge", "-p", `{"spec":{"parentRefs":[{"name":"gw","sectionName":"tcp"}]}}`)
	w.await("its status, with both versions served", observed)
}
