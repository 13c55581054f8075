package controller

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"sluice.io/sluice/controller/object"
	"sluice.io/sluice/controller/queue"
	"sluice.io/sluice/model"
)

// TestAStatusOfAPoolIsNoChange: what the controller itself wrote makes it look at
// no Gateway again.
func TestAStatusOfAPoolIsNoChange(t *testing.T) {
	tm := bareTerm()
	tm.objects = object.NewObjects(object.Config{Urgent: urgent})
	defer func() { _ = tm.objects.Run(done()) }() // it ends what waits
	ref := model.ObjectRef{Kind: kindAddressPool, Name: "a"}
	obj := poolObject("a", 0, "192.0.2.1")
	if tm.takePool(ref, obj); !tm.all {
		t.Error("a new pool is not noticed")
	}
	tm.all = false
	written := obj.DeepCopy()
	written.Status.Assigned, written.ResourceVersion = 1, "2"
	if tm.takePool(ref, written); tm.all {
		t.Error("a status of a pool has every Gateway looked at")
	}
	written = written.DeepCopy()
	written.Spec.Addresses = append(written.Spec.Addresses, "192.0.2.7")
	if tm.takePool(ref, written); !tm.all {
		t.Error("another address is not noticed")
	}
}

// done is a context that is.
func done() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// TestAPoolAfterTheGateway: a Gateway that waits for an address gets one of a pool
// that is made later, and waits for the cluster's load balancer when the pool goes.
func TestAPoolAfterTheGateway(t *testing.T) {
	w := newWorld(t)
	w.node("ghost1", "10.9.0.1")
	w.gateway("gw", "")
	w.gateway("kept", "")
	w.run()
	w.await("the message tells of a pool", func() bool { return strings.Contains(message(w.readGateway("gw")), "needs an AddressPool") })
	name := "gw-" + w.class
	uid, target := w.service(name).UID, w.service(name).Spec.Ports[0].TargetPort
	balance := func(ip string) {
		w.Kube(t, "patch", "service", "-n", w.ns, "kept-"+w.class, "--subresource=status", "--type=merge", "-p", fmt.Sprintf(`{"status":{"loadBalancer":{"ingress":[{"ip":%q}]}}}`, ip))
	}
	w.await("the other's Service", func() bool { return w.service("kept-"+w.class) != nil })
	balance("198.51.100.9")
	w.await("the other has an address of a load balancer", func() bool { return addressList(w.readGateway("kept")) == "198.51.100.9" })
	w.pool(`"192.0.2.192-192.0.2.193"`)
	w.await("an address of the pool", func() bool {
		g := w.readGateway("gw")
		return addressList(g) == "192.0.2.192" && condition(g, "Programmed") == "True Programmed"
	})
	svc := w.service(name)
	if svc.UID != uid || svc.Spec.Ports[0].TargetPort != target || *svc.Spec.LoadBalancerClass != poolClass || svc.Spec.Ports[0].NodePort != 0 {
		t.Errorf("the Service is another one, or is not the pool's: %+v", svc.Spec)
	}
	if kept := w.service("kept-" + w.class); kept.Spec.LoadBalancerClass != nil || addressList(w.readGateway("kept")) != "198.51.100.9" {
		t.Errorf("a Gateway with an address lost it to a pool: %+v", kept.Spec)
	}
	w.Kube(t, "delete", "addresspool", w.ns)
	w.await("back to the cluster's load balancer", func() bool {
		svc := w.service(name)
		return svc.Spec.Type == corev1.ServiceTypeLoadBalancer && svc.Spec.LoadBalancerClass == nil && addressList(w.readGateway("gw")) == "" &&
			strings.Contains(message(w.readGateway("gw")), "needs an AddressPool")
	})
	if now := w.service(name); now.UID != uid || now.Spec.Ports[0].TargetPort != target {
		t.Errorf("the Service is another one: %+v", now)
	}
	w.Apply(t, fmt.Sprintf("apiVersion: sluice.io/v1alpha1\nkind: AddressPool\nmetadata: {name: %s}\nspec: {addresses: [192.0.2.194]}\n", w.ns))
	w.await("and to a pool again", func() bool { return addressList(w.readGateway("gw")) == "192.0.2.194" })
}

// TestNoAddressLeaks: what Gateways had that were deleted while nobody led, Services
// and all, is to be had again.
func TestNoAddressLeaks(t *testing.T) {
	w := newWorld(t)
	w.node("ghost1", "10.9.0.1")
	w.pool(`"192.0.2.200-192.0.2.201"`)
	w.gateway("a", "")
	w.gateway("b", "")
	first := w.run()
	w.await("both have one", func() bool { return w.readPool().Status.Assigned == 2 })
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	w.Kube(t, "delete", "gateway", "-n", w.ns, "a")
	w.await("its Service has gone", func() bool { return w.service("a-"+w.class) == nil })
	was := addressList(w.readGateway("b"))
	w.start(w.options(w.Config(t), "two"))
	w.await("its address is given back", func() bool { return w.readPool().Status.Assigned == 1 })
	w.gateway("c", "")
	w.await("another Gateway has it", func() bool { return condition(w.readGateway("c"), "Programmed") == "True Programmed" })
	if now := addressList(w.readGateway("b")); now != was {
		t.Errorf("b had %s, has %s", was, now)
	}
}

// TestAPoolsStatusIsPaced: many Gateways at once are not as many writes of it.
func TestAPoolsStatusIsPaced(t *testing.T) {
	const count = 60
	w := newWorld(t)
	w.node("ghost1", "10.9.0.1")
	w.pool(`"198.51.100.0/25"`)
	r := w.run()
	w.await("the pool is known", func() bool { return len(w.readPool().Status.Conditions) > 0 })
	began, before := time.Now(), r.metric(t, `sluice_controller_writes_total{kind="AddressPool",result="ok"}`)
	var all strings.Builder
	for i := range count {
		fmt.Fprintf(&all, "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: gw%d, namespace: %s}\nspec: {gatewayClassName: %s, listeners: [{name: http, port: 80, protocol: HTTP}]}\n---\n", i, w.ns, w.class)
	}
	w.Apply(t, all.String())
	w.await("all are assigned", func() bool { return w.readPool().Status.Assigned == count })
	most := queue.MaxBurst + 1 + int(time.Since(began)/queue.Pace)
	if n := r.metric(t, `sluice_controller_writes_total{kind="AddressPool",result="ok"}`) - before; n > most {
		t.Errorf("the pool's status was written %d times, %d at most in that time", n, most)
	}
}
