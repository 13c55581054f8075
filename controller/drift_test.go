package controller

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"sluice.io/sluice/controller/status"
)

// TestDriftIsRepaired breaks what the controller made in the cluster, in every way
// that leaves its annotation alone.
func TestDriftIsRepaired(t *testing.T) {
	w := newWorld(t)
	w.node("ghost1", "10.9.0.1")
	w.pool(`"192.0.2.208/30"`)
	w.Apply(t, fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: thief, namespace: %s, labels: {app: thief}}\nspec: {nodeName: ghost2, containers: [{name: c, image: example.com/none}], automountServiceAccountToken: false}\n", w.ns))
	w.gateway("gw", "")
	r := w.run()
	name := "gw-" + w.class
	slice := "/apis/discovery.k8s.io/v1/namespaces/" + w.ns + "/endpointslices/" + name + "-ipv4-0"
	whole := func() bool {
		svc, s := w.service(name), read[discoveryv1.EndpointSlice](w, slice)
		at := -1 // others may add ports, which have no endpoints
		if svc != nil {
			at = slices.IndexFunc(svc.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == 80 })
		}
		return at >= 0 && s != nil && svc.Spec.Type == corev1.ServiceTypeLoadBalancer && len(svc.Spec.Selector) == 0 &&
			svc.Labels["gateway.networking.k8s.io/gateway-name"] == "gw" && svc.Labels["gateway.networking.k8s.io/gateway-class-name"] == w.class &&
			svc.Spec.LoadBalancerClass != nil &&
			len(s.Endpoints) == 1 && s.Endpoints[0].Addresses[0] == "10.9.0.1" && *s.Endpoints[0].Conditions.Ready && len(s.Ports) == 1 &&
			*s.Ports[0].Port == svc.Spec.Ports[at].TargetPort.IntVal && s.Labels[discoveryv1.LabelServiceName] == name && s.Labels[discoveryv1.LabelManagedBy] == sliceManager &&
			condition(w.readGateway("gw"), status.Programmed) == "True Programmed"
	}
	w.await("all is there", whole)
	for _, c := range []struct{ what, kind, patch string }{
		{"selector", "service/" + name, `{"spec":{"selector":{"app":"thief"}}}`},
		{"type", "service/" + name, `{"spec":{"type":"ClusterIP","loadBalancerClass":null,"externalTrafficPolicy":null,"allocateLoadBalancerNodePorts":null}}`},
		{"class label", "service/" + name, `{"metadata":{"labels":{"gateway.networking.k8s.io/gateway-class-name":"x"}}}`},
		{"name label", "service/" + name, `{"metadata":{"labels":{"gateway.networking.k8s.io/gateway-name":"x"}}}`},
		{"ports", "service/" + name, `{"spec":{"ports":[{"name":"x","port":81,"targetPort":6}]}}`},
		{"endpoints", "endpointslice/" + name + "-ipv4-0", `{"endpoints":[{"addresses":["10.6.6.6"]}]}`},
		{"slice's ports", "endpointslice/" + name + "-ipv4-0", `{"ports":[{"name":"tcp-80","port":6}]}`},
		{"slice's Service", "endpointslice/" + name + "-ipv4-0", `{"metadata":{"labels":{"kubernetes.io/service-name":"x"}}}`},
		{"slice's manager", "endpointslice/" + name + "-ipv4-0", `{"metadata":{"labels":{"endpointslice.kubernetes.io/managed-by":null}}}`},
	} {
		w.Kube(t, "patch", "-n", w.ns, c.kind, "--type=merge", "-p", c.patch)
		w.await("the "+c.what+" is put right", whole)
	}
	w.await("no slice of the selector's is left", func() bool {
		all := read[discoveryv1.EndpointSliceList](w, "/apis/discovery.k8s.io/v1/namespaces/"+w.ns+"/endpointslices").Items
		return !slices.ContainsFunc(all, func(s discoveryv1.EndpointSlice) bool {
			return s.Labels[discoveryv1.LabelManagedBy] == kubernetesManager
		})
	})
	// Who changes it again and again is let go on, for a while.
	fought := `sluice_controller_writes_total{kind="EndpointSlice",result="fought"}`
	before := r.metric(t, fought)
	w.await("a fight ends", func() bool {
		w.Kube(t, "patch", "-n", w.ns, "endpointslice/"+name+"-ipv4-0", "--type=merge", "-p", fmt.Sprintf(`{"endpoints":[{"addresses":["10.6.6.%d"]}]}`, time.Now().UnixNano()%250))
		return r.metric(t, fought) > before
	})
	w.await("and is taken up again", whole)
}

// TestCopiesThatDriftAreRepaired, also those that were changed while nobody led.
func TestCopiesThatDriftAreRepaired(t *testing.T) {
	w := newWorld(t)
	cert, key := certificate(t, "a.example.com")
	w.Apply(t, fmt.Sprintf("apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {name: cert, namespace: %s}\ndata: {tls.crt: %s, tls.key: %s}\n", w.ns, cert, key))
	w.Apply(t, fmt.Sprintf("apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: gw, namespace: %s}\nspec:\n  gatewayClassName: %s\n  listeners: [{name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}}]\n", w.ns, w.class))
	r := w.run()
	list := func() []corev1.Secret {
		return read[corev1.SecretList](w, "/api/v1/namespaces/"+w.copies+"/secrets").Items
	}
	w.await("the copy", func() bool { return len(list()) == 1 })
	good := list()[0]
	other, otherKey := certificate(t, "b.example.com")
	spoil := func() {
		w.Kube(t, "patch", "secret", "-n", w.copies, good.Name, "-p", fmt.Sprintf(`{"data":{"tls.crt":%q,"tls.key":%q}}`, other, otherKey))
	}
	same := func() bool { return string(list()[0].Data["tls.crt"]) == string(good.Data["tls.crt"]) }
	spoil()
	w.await("the copy is put right", same)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	spoil()
	if same() {
		t.Fatal("nobody leads, and the copy is put right")
	}
	w.start(w.options(w.Config(t), "two"))
	w.await("the next leader puts it right", same)
}
