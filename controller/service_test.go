package controller

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/controller/object"
	"sluice.io/sluice/controller/status"
)

func TestAGatewayGetsAServiceAndAddresses(t *testing.T) {
	w := newWorld(t)
	w.node("ghost1", "10.9.0.1")
	w.pool(`"192.0.2.10-192.0.2.12"`)
	w.gateway("gw", "infrastructure: {labels: {team: a}, annotations: {note: b}}")
	w.run()
	w.await("status.Programmed", func() bool { return condition(w.readGateway("gw"), "Programmed") == "True Programmed" })
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

// TestAServiceOfOthersIsLeftAlone: and the Gateway that has no Service says why,
// and gets it when the name is free.
func TestAServiceOfOthersIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.node("ghost1", "10.9.0.1")
	w.pool(`"192.0.2.176/29"`)
	foreign := fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {name: gw-%s, namespace: %s}\nspec: {ports: [{port: 7}]}\n", w.class, w.ns)
	w.Apply(t, foreign)
	w.gateway("gw", "")
	w.run()
	taken := func() bool {
		g := w.readGateway("gw")
		return strings.Contains(message(g), "is not Sluice's, and has the name") && condition(g, "Programmed") == "False AddressNotAssigned" && addressList(g) == ""
	}
	w.await("the Gateway says that the name is taken", taken)
	w.gateway("gw2", "")
	w.await("the next Gateway is served", func() bool { return condition(w.readGateway("gw2"), "Programmed") == "True Programmed" })
	if svc := w.service("gw-" + w.class); svc.Spec.Ports[0].Port != 7 || svc.Labels[object.ManagedBy] != "" {
		t.Errorf("it is %+v", svc)
	}
	w.Kube(t, "delete", "service", "-n", w.ns, "gw-"+w.class)
	w.await("served when the name is free", func() bool { return condition(w.readGateway("gw"), "Programmed") == "True Programmed" })
}

// TestAServiceStaysOurs: who takes its labels away, also while nobody leads, takes
// nothing out of our hands.
func TestAServiceStaysOurs(t *testing.T) {
	w := newWorld(t)
	w.node("ghost1", "10.9.0.1")
	w.pool(`"192.0.2.224/31"`)
	w.gateway("gw", "")
	r := w.run()
	name := "gw-" + w.class
	slice := func() *discoveryv1.EndpointSlice {
		return read[discoveryv1.EndpointSlice](w, "/apis/discovery.k8s.io/v1/namespaces/"+w.ns+"/endpointslices/"+name+"-ipv4-0")
	}
	w.await("served", func() bool {
		return condition(w.readGateway("gw"), status.Programmed) == "True Programmed" && targetsIn(w.service(name)) != nil && slice() != nil
	})
	was, endpoints, at := w.service(name), slice(), addressList(w.readGateway("gw"))
	strip := func() {
		w.Kube(t, "patch", "service", "-n", w.ns, name, "--type=merge", "-p", `{"metadata":{"labels":null}}`)
	}
	whole := func() bool {
		l := w.service(name).Labels
		return l[object.ManagedBy] == object.Manager && l[gatewayv1.GatewayNameLabelKey] == "gw"
	}
	unchanged := func(when string) {
		t.Helper()
		now, g := w.service(name), w.readGateway("gw")
		if s := slice(); s == nil || s.UID != endpoints.UID {
			t.Errorf("%s, the slice is %+v", when, s)
		}
		if now.UID != was.UID || now.Spec.Ports[0].TargetPort != was.Spec.Ports[0].TargetPort || len(now.Status.LoadBalancer.Ingress) != 1 || now.Status.LoadBalancer.Ingress[0].IP != at {
			t.Errorf("%s, the Service is %+v", when, now)
		}
		if condition(g, status.Programmed) != "True Programmed" || addressList(g) != at {
			t.Errorf("%s, the Gateway is %+v", when, g.Status)
		}
	}
	strip()
	w.await("the labels are back", whole)
	unchanged("without labels for a moment")
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	strip()
	w.start(w.options(w.Config(t), "two"))
	w.await("the next leader puts them back", whole)
	unchanged("without labels while nobody led")

	w.Apply(t, "apiVersion: v1\nkind: Service\nmetadata: {name: other, namespace: "+w.ns+", labels: {"+object.ManagedBy+": "+object.Manager+", "+gatewayv1.GatewayNameLabelKey+": gw}}\nspec: {ports: [{port: 7}]}\n")
	w.await("one that only looks like ours goes", func() bool { return w.service("other") == nil })
	unchanged("with another that looks like it")
}

// TestTwoGatewaysNeedOneName: the older has the Service, whatever its labels are
// made to say, and the other takes over when it goes.
func TestTwoGatewaysNeedOneName(t *testing.T) {
	w := newWorld(t)
	w.node("ghost1", "10.9.0.1")
	w.pool(`"192.0.2.184/29"`)
	class := strings.TrimPrefix(w.class, "slt-")
	w.makeClass(class, Name)
	t.Cleanup(func() { w.endClass(class) })
	w.run()
	w.gateway("gw", "")
	w.await("the first is served", func() bool { return condition(w.readGateway("gw"), "Programmed") == "True Programmed" })
	uid := w.service("gw-" + w.class).UID
	time.Sleep(1100 * time.Millisecond) // the time of a creation has seconds
	w.Apply(t, fmt.Sprintf("apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: gw-slt, namespace: %s}\nspec: {gatewayClassName: %s, listeners: [{name: http, port: 81, protocol: HTTP}]}\n", w.ns, class))
	w.await("the second says who has the name", func() bool {
		return strings.HasSuffix(message(w.readGateway("gw-slt")), "is that of Gateway "+w.ns+"/gw: rename one of the two")
	})
	w.Kube(t, "label", "service", "-n", w.ns, "gw-"+w.class, "--overwrite", gatewayv1.GatewayNameLabelKey+"=gw-slt")
	w.gateway("third", "")
	w.await("a third is served", func() bool { return condition(w.readGateway("third"), "Programmed") == "True Programmed" })
	if svc := w.service("gw-" + w.class); svc == nil || svc.UID != uid || svc.Spec.Ports[0].Port != 80 || condition(w.readGateway("gw"), "Programmed") != "True Programmed" {
		t.Errorf("the Service changed hands: %+v", svc)
	}
	w.Kube(t, "delete", "gateway", "-n", w.ns, "gw")
	w.await("the second takes over", func() bool { return condition(w.readGateway("gw-slt"), "Programmed") == "True Programmed" })
	if svc := w.service("gw-" + w.class); svc.Spec.Ports[0].Port != 81 {
		t.Errorf("its Service is %+v", svc.Spec)
	}
}

// TestNoLoadBalancerForWhatIsRefused: it is made when the Gateway is accepted, and
// stays when it is no more, with the port of the nodes and the address.
func TestNoLoadBalancerForWhatIsRefused(t *testing.T) {
	w := newWorld(t)
	w.node("ghost1", "10.9.0.1")
	w.pool(`"192.0.2.210/31"`)
	refused := "addresses: [{type: Hostname, value: a.example.com}]"
	w.gateway("gw", refused)
	w.run()
	is := func(reason string) func() bool {
		return func() bool { return condition(w.readGateway("gw"), "Accepted") == reason }
	}
	w.await("refused", is("False UnsupportedAddress"))
	w.gateway("next", "")
	w.await("the next is served", func() bool { return condition(w.readGateway("next"), status.Programmed) == "True Programmed" })
	if svc := w.service("gw-" + w.class); svc != nil || w.readPool().Status.Assigned != 1 {
		t.Errorf("a refused Gateway has a Service %v, or an address", svc)
	}
	w.gateway("gw", "")
	w.await("served", func() bool { return condition(w.readGateway("gw"), status.Programmed) == "True Programmed" })
	was := w.service("gw-" + w.class)
	w.gateway("gw", refused)
	w.await("refused again", is("False UnsupportedAddress"))
	w.Kube(t, "label", "service", "-n", w.ns, "gw-"+w.class, "--overwrite", gatewayv1.GatewayNameLabelKey+"=x")
	w.await("its Service is minded", func() bool {
		return w.service("gw-" + w.class).Labels[gatewayv1.GatewayNameLabelKey] == "gw"
	})
	if now := w.service("gw-" + w.class); now.UID != was.UID || now.Spec.Ports[0].TargetPort != was.Spec.Ports[0].TargetPort || w.readPool().Status.Assigned != 2 {
		t.Errorf("its Service is %+v", now)
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
	w.await("not status.Programmed without an address", func() bool { return condition(w.readGateway("gw"), "Programmed") == "False AddressNotAssigned" })
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
	w.await("all status.Programmed", func() bool {
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
