package controller

import (
	"fmt"
	"slices"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/controller/object"
	"sluice.io/sluice/controller/status"
)

func (w *world) readClass() *gatewayv1.GatewayClass {
	return read[gatewayv1.GatewayClass](w, "/apis/gateway.networking.k8s.io/v1/gatewayclasses/"+w.class)
}

// TestClassesTellWhatIsInstalled: a CRD of another release is no longer what
// Sluice knows, and it is so again when that is put right.
func TestClassesTellWhatIsInstalled(t *testing.T) {
	w := newWorld(t)
	const crd, annotation = "tlsroutes.gateway.networking.k8s.io", "gateway.networking.k8s.io/bundle-version"
	was := w.Kube(t, "get", "crd", crd, "-o", `jsonpath={.metadata.annotations.gateway\.networking\.k8s\.io/bundle-version}`)
	w.run()
	says := func(status string, mixed bool) func() bool {
		return func() bool {
			c := w.readClass()
			has := slices.ContainsFunc(c.Status.SupportedFeatures, func(f gatewayv1.SupportedFeature) bool { return f.Name == "TLSRouteModeMixed" })
			for _, x := range c.Status.Conditions {
				if x.Type == string(gatewayv1.GatewayClassConditionStatusSupportedVersion) && string(x.Status) == status {
					return has == mixed
				}
			}
			return false
		}
	}
	w.await("the installed version is known", says("True", true))
	t.Cleanup(func() { w.Kube(t, "annotate", "crd", crd, "--overwrite", annotation+"="+was) })
	w.Kube(t, "annotate", "crd", crd, "--overwrite", annotation+"=v1.5.0")
	w.await("an older one is not", says("False", false))
	w.Kube(t, "annotate", "crd", crd, "--overwrite", annotation+"="+was)
	w.await("the installed version is known again", says("True", true))
}

// TestUsedClassesStay: the finalizer of the Gateway API is on a class while
// Gateways use it; others' stay.
func TestUsedClassesStay(t *testing.T) {
	w := newWorld(t)
	const other = "example.com/theirs"
	has := func(what string) bool { return slices.Contains(w.readClass().Finalizers, what) }
	w.Kube(t, "patch", "gatewayclass", w.class, "--type=merge", "-p", `{"metadata":{"finalizers":["`+other+`"]}}`)
	r := w.run()
	w.gateway("gw", "")
	w.await("the finalizer", func() bool { return has(finalizer) && has(other) })
	if a := w.readClass().Annotations; a[object.Applied] != "" {
		t.Errorf("the class got annotations %v", a)
	}
	w.Kube(t, "patch", "gatewayclass", w.class, "--type=merge", "-p", `{"metadata":{"finalizers":["`+other+`"]}}`)
	w.await("the finalizer is back", func() bool { return has(finalizer) && has(other) })
	w.Kube(t, "delete", "gateway", "-n", w.ns, "gw")
	w.await("it goes with the last Gateway", func() bool { return !has(finalizer) && has(other) })
	w.gateway("gw2", "")
	w.await("it comes with the next", func() bool { return has(finalizer) && has(other) })
	w.Kube(t, "patch", "gatewayclass", w.class, "--type=json", "-p", `[{"op":"remove","path":"/metadata/finalizers/`+fmt.Sprint(slices.Index(w.readClass().Finalizers, other))+`"}]`)
	w.Kube(t, "delete", "gatewayclass", w.class, "--wait=false")
	if c := w.readClass(); c == nil || c.DeletionTimestamp == nil {
		t.Fatalf("the class is %+v", c)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	w.start(w.options(w.Config(t), "two"))
	w.node("ghost1", "10.9.0.1")
	w.pool(`"192.0.2.216"`)
	w.await("its Gateway is served on", func() bool { return condition(w.readGateway("gw2"), status.Programmed) == "True Programmed" })
	w.Kube(t, "delete", "gateway", "-n", w.ns, "gw2")
	w.await("the class goes with it", func() bool { return w.readClass() == nil })
	w.makeClass(w.class, "example.com/other")
	w.gateway("gw3", "")
	ours := w.class + "-ours"
	w.makeClass(ours, Name)
	t.Cleanup(func() { w.endClass(ours) })
	w.gatewayOf("gw4", "", ours)
	w.await("a class of ours", func() bool { return condition(w.readGateway("gw4"), status.Programmed) == "True Programmed" })
	if has(finalizer) {
		t.Error("another controller's class has our finalizer")
	}
}

// TestAClassThatGoes: what was made for Gateways stays while their class has gone,
// the status says so, and all is as it was when the class is back.
func TestAClassThatGoes(t *testing.T) {
	w := newWorld(t)
	w.node("ghost1", "10.9.0.1")
	w.pool(`"192.0.2.220/31"`)
	r := w.run()
	w.gateway("gw", "allowedListeners: {namespaces: {from: Same}}")
	w.Apply(t, fmt.Sprintf("apiVersion: gateway.networking.k8s.io/v1\nkind: ListenerSet\nmetadata: {name: more, namespace: %s}\nspec: {parentRef: {name: gw}, listeners: [{name: a, port: 81, protocol: HTTP}]}\n", w.ns))
	serves := func() bool {
		return condition(w.readGateway("gw"), status.Programmed) == "True Programmed" && describe(w.readSet("more").Status.Conditions) == "True Programmed"
	}
	w.await("served", serves)
	uid, slice := w.service("gw-"+w.class).UID, "/apis/discovery.k8s.io/v1/namespaces/"+w.ns+"/endpointslices/gw-"+w.class+"-ipv4-0"
	drop := func() {
		w.await("held", func() bool { return slices.Contains(w.readClass().Finalizers, finalizer) })
		w.Kube(t, "delete", "gatewayclass", w.class, "--wait=false")
		w.Kube(t, "patch", "gatewayclass", w.class, "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	}
	stays := func() bool {
		g, s := w.readGateway("gw"), w.readSet("more")
		if g == nil || s == nil || condition(g, status.Programmed) != "Unknown Pending" || condition(g, "Accepted") != "Unknown Pending" || describe(s.Status.Conditions) != "Unknown Pending" {
			return false
		}
		return len(g.Status.Listeners) == 0 && len(s.Status.Listeners) == 0 && addressList(g) == "192.0.2.220" && w.readPool().Status.Assigned == 1
	}
	unchanged := func() {
		t.Helper()
		if svc := w.service("gw-" + w.class); svc == nil || svc.UID != uid || read[discoveryv1.EndpointSlice](w, slice) == nil {
			t.Errorf("the Service or its slice has gone: %+v", svc)
		}
	}
	drop()
	w.await("nothing is said to be served", stays)
	unchanged()
	w.makeClass(w.class, Name)
	w.await("served again", serves)
	unchanged()

	// The same while nobody leads.
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	drop()
	w.start(w.options(w.Config(t), "two"))
	w.await("the next leader says so, too", stays)
	unchanged()
	w.makeClass(w.class, "example.com/other")
	w.await("with another controller's class, all goes", func() bool {
		return w.service("gw-"+w.class) == nil && w.readPool().Status.Assigned == 0
	})
	w.Kube(t, "delete", "gatewayclass", w.class)
	w.makeClass(w.class, Name)
	w.await("served once more", serves)
}

// TestAnotherControllersStatusStays: of a Gateway that goes over to another class,
// Sluice takes back what it said, and nothing that the other said.
func TestAnotherControllersStatusStays(t *testing.T) {
	w := newWorld(t)
	w.node("ghost1", "10.9.0.1")
	w.pool(`"192.0.2.222/31"`)
	other := w.class + "-other"
	w.makeClass(other, "example.com/other")
	t.Cleanup(func() { w.endClass(other) })
	w.run()
	w.gateway("gw", "")
	w.await("served", func() bool { return condition(w.readGateway("gw"), status.Programmed) == "True Programmed" })
	w.gatewayOf("gw", "", other)
	w.await("what was said is taken back", func() bool {
		g := w.readGateway("gw")
		return condition(g, status.Programmed) == "Unknown Pending" && addressList(g) == "" && w.service("gw-"+w.class) == nil
	})
	theirs := `{"status":{"addresses":[{"value":"198.51.100.1"}],"conditions":[{"type":"Programmed","status":"True","reason":"Programmed","message":"theirs","observedGeneration":%d,"lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`
	w.Kube(t, "patch", "gateway", "-n", w.ns, "gw", "--subresource=status", "--type=merge", "-p", fmt.Sprintf(theirs, w.readGateway("gw").Generation))
	w.Kube(t, "label", "gateway", "-n", w.ns, "gw", "look=again")
	w.makeClass("slt-"+other, "example.com/other") // another event for all Gateways
	t.Cleanup(func() { w.endClass("slt-" + other) })
	w.gateway("next", "")
	w.await("the next one is served", func() bool { return condition(w.readGateway("next"), status.Programmed) == "True Programmed" })
	if g := w.readGateway("gw"); message(g) != "theirs" || addressList(g) != "198.51.100.1" {
		t.Errorf("the other controller's status became %+v", g.Status)
	}
	w.gatewayOf("gw", "", w.class)
	w.await("served again", func() bool { return condition(w.readGateway("gw"), status.Programmed) == "True Programmed" })
}
