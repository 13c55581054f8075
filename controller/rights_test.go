package controller

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"sluice.io/sluice/test/apiserver"
)

// full are Gateways that need all that a controller reads: a certificate of another
// namespace, which a grant permits, a ListenerSet, authorities for a backend, an address of a
// pool, nodes that parameters select.
func (w *world) full() {
	w.t.Helper()
	w.node("ghost1", "10.9.0.1")
	w.Kube(w.t, "label", "node", "ghost1", "slt-edge="+w.class)
	w.t.Cleanup(func() { w.Kube(w.t, "label", "node", "ghost1", "slt-edge-") })
	w.pool(`"192.0.2.128/29"`)
	theirs := w.Namespace(w.t, w.ns+"-theirs")
	cert, key := certificate(w.t, "a.example.com")
	pem, _ := base64.StdEncoding.DecodeString(cert)
	w.Apply(w.t, strings.NewReplacer("NS", w.ns, "THEIRS", theirs, "CLASS", w.class, "CERT", cert, "KEY", key, "AUTHORITY", strconv.Quote(string(pem))).Replace(`
apiVersion: sluice.io/v1alpha1
kind: GatewayParameters
metadata: {name: CLASS}
spec: {nodeSelector: {slt-edge: CLASS}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: CLASS}
spec:
  controllerName: sluice.io/gateway-controller
  parametersRef: {group: sluice.io, kind: GatewayParameters, name: CLASS}
---
apiVersion: v1
kind: Secret
type: kubernetes.io/tls
metadata: {name: cert, namespace: THEIRS}
data: {tls.crt: CERT, tls.key: KEY}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: cert, namespace: THEIRS}
spec:
  from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: NS}]
  to: [{group: "", kind: Secret}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: NS}
spec:
  gatewayClassName: CLASS
  allowedListeners: {namespaces: {from: Selector, selector: {matchLabels: {kubernetes.io/metadata.name: NS}}}}
  listeners:
  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: cert, namespace: THEIRS}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: more, namespace: NS}
spec:
  parentRef: {name: gw}
  listeners: [{name: http, port: 8080, protocol: HTTP}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: authority, namespace: NS}
data: {ca.crt: AUTHORITY}
---
apiVersion: v1
kind: Service
metadata: {name: backend, namespace: NS}
spec: {ports: [{port: 443}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: backend, namespace: NS}
spec:
  targetRefs: [{group: "", kind: Service, name: backend}]
  validation: {hostname: a.example.com, caCertificateRefs: [{group: "", kind: ConfigMap, name: authority}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: route, namespace: NS}
spec:
  parentRefs: [{name: gw}]
  rules: [{backendRefs: [{name: backend, port: 443}]}]
`))
	w.t.Cleanup(func() { w.Kube(w.t, "delete", "gatewayparameters", w.class) })
}

// made are all objects that the controller made or wrote to, by their versions.
func (w *world) made() []string {
	w.t.Helper()
	var all []string
	add := func(kind, name, version string) { all = append(all, kind+" "+name+" "+version) }
	for _, o := range read[corev1.ServiceList](w, "/api/v1/namespaces/"+w.ns+"/services").Items {
		add("Service", o.Name, string(o.UID)+" "+o.ResourceVersion)
	}
	for _, o := range read[discoveryv1.EndpointSliceList](w, "/apis/discovery.k8s.io/v1/namespaces/"+w.ns+"/endpointslices").Items {
		add("EndpointSlice", o.Name, string(o.UID)+" "+o.ResourceVersion)
	}
	for _, o := range read[corev1.SecretList](w, "/api/v1/namespaces/"+w.copies+"/secrets").Items {
		add("Secret", o.Name, string(o.UID)+" "+o.ResourceVersion)
	}
	for _, o := range read[corev1.ConfigMapList](w, "/api/v1/namespaces/"+w.copies+"/configmaps").Items {
		if o.Name != "kube-root-ca.crt" {
			add("ConfigMap", o.Name, string(o.UID)+" "+o.ResourceVersion)
		}
	}
	add("AddressPool", w.ns, fmt.Sprint(w.readPool().Status.Assignments))
	add("Gateway", "gw", w.readGateway("gw").ResourceVersion)
	add("HTTPRoute", "route", w.route("route").ResourceVersion)
	slices.Sort(all)
	return all
}

// complete waits until all is made of full.
func (w *world) complete() {
	w.t.Helper()
	w.await("all is made", func() bool {
		kinds := map[string]int{}
		for _, m := range w.made() {
			kind, _, _ := strings.Cut(m, " ")
			kinds[kind]++
		}
		svc := w.service("gw-" + w.class)
		mine, _ := ours(w.route("route"))
		return kinds["Service"] == 2 && kinds["EndpointSlice"] == 1 && kinds["Secret"] == 1 && kinds["ConfigMap"] == 1 && mine == 1 &&
			len(svc.Spec.Ports) == 2 && targetsIn(svc) != nil && len(svc.Status.LoadBalancer.Ingress) == 1 &&
			condition(w.readGateway("gw"), "Programmed") == "True Programmed"
	})
}

func (w *world) rights() apiserver.Rights {
	return apiserver.Documented(w.t, "controller", map[string]string{"sluice-secrets": w.copies, "its own namespace (--namespace)": w.system})
}

// unchanged fails when anything was written or removed.
func (w *world) unchanged(when string, want []string) {
	w.t.Helper()
	if now := w.made(); !slices.Equal(now, want) {
		w.t.Errorf("%s, there were\n%s\nnow\n%s", when, strings.Join(want, "\n"), strings.Join(now, "\n"))
	}
}

// TestNothingGoesForWantOfARight: a leader that may not list one of its kinds waits, says
// for what, and touches nothing; with the right it goes on, and still nothing had to change.
func TestNothingGoesForWantOfARight(t *testing.T) {
	w := newWorld(t)
	w.full()
	first := w.run()
	w.complete()
	w.settled(first)
	before := w.made()
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	kinds := []string{
		"gatewayclasses", "gateways", "listenersets", "httproutes", "grpcroutes", "tlsroutes", "tcproutes", "udproutes", "backendtlspolicies", "referencegrants",
		"services", "endpointslices", "namespaces", "nodes", "customresourcedefinitions", "pods", "secrets", "configmaps", "addresspools", "gatewayparameters", "nodereports",
	}
	for _, kind := range kinds {
		config := w.Config(t)
		apiserver.Refuse(config, kind, "list", "watch")
		r := w.start(w.options(config, kind))
		w.await("it says that it may not list "+kind, func() bool {
			err := r.ready()
			return err != nil && strings.Contains(err.Error(), "waiting for the API server's "+kind+" ("+kind+" cannot be read")
		})
		w.unchanged("without the right to list "+kind, before)
		if r.live() != nil {
			t.Errorf("without the right to list %s it counts as dead: a restart gives no right", kind)
		}
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	}
	config := w.Config(t)
	allow := apiserver.Refuse(config, "secrets", "get")
	r := w.start(w.options(config, "get"))
	w.await("it says that it may not fetch", func() bool {
		err := r.ready()
		return err != nil && strings.Contains(err.Error(), "which cannot be fetched")
	})
	w.unchanged("without the right to get Secrets", before)
	w.await("it goes on without", func() bool { return r.ready() == nil && w.resolved() == "False" })
	w.settled(r)
	provisions := func(all []string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return strings.HasPrefix(s, "Gateway") || strings.HasPrefix(s, "HTTPRoute") })
	}
	if now := w.made(); !slices.Equal(provisions(now), provisions(before)) {
		t.Errorf("without the right to get Secrets, there were\n%s\nnow\n%s", strings.Join(before, "\n"), strings.Join(now, "\n"))
	}

	allow()
	w.await("it has the right", func() bool { return w.resolved() == "True" })
	w.settled(r)
	if now := w.made(); !slices.Equal(provisions(now), provisions(before)) {
		t.Errorf("with all rights, there were\n%s\nnow\n%s", strings.Join(before, "\n"), strings.Join(now, "\n"))
	}
}

// resolved is what is said of the references of the Gateway's listener.
func (w *world) resolved() string {
	for _, l := range w.readGateway("gw").Status.Listeners {
		for _, c := range l.Conditions {
			if c.Type == "ResolvedRefs" {
				return string(c.Status)
			}
		}
	}
	return ""
}

// settled waits until a leader has worked in all that there was before.
func (w *world) settled(r *replica) {
	w.t.Helper()
	w.await("it leads", func() bool { t := r.term.Load(); return r.ready() == nil && t != nil && t.read.Load() })
	name := "settled-" + r.opts.Identity
	w.gateway(name, "")
	w.await("it works", func() bool { return condition(w.readGateway(name), "Programmed") == "True Programmed" })
	w.Kube(w.t, "delete", "gateway", "-n", w.ns, name, "--cascade=foreground")
	w.await("it has tidied up", func() bool {
		return w.service(name+"-"+w.class) == nil && w.readPool().Status.Assigned == 1
	})
}

// TestNothingGoesWhenARightIsTaken: a leader whose right to list a kind goes, when watches
// begin anew, knows what it knew.
func TestNothingGoesWhenARightIsTaken(t *testing.T) {
	w := newWorld(t)
	w.full()
	var log lockedBuffer
	o := w.options(w.As(t, "slt-taken", w.rights()), "one")
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	r := w.start(o)
	w.complete()
	w.settled(r)
	before := w.made()
	less := w.rights()
	for _, kind := range []string{"gateways", "gatewayclasses", "referencegrants", "services", "nodes", "secrets"} {
		less = less.Without(t, kind, "list", "watch")
	}
	w.As(t, "slt-taken", less)
	w.Stop(t)
	w.Server.Start(t)
	for _, kind := range []string{"Gateway", "GatewayClass", "ReferenceGrant", "Service", "Node", "Secret"} {
		w.await(kind+" is refused", func() bool {
			return strings.Contains(log.String(), `msg="a kind cannot be watched" part=source kind=`+kind+" ")
		})
	}
	w.ready("ghost1", "10.9.0.1", false)
	w.await("the node that is not ready goes", func() bool {
		return len(read[discoveryv1.EndpointSliceList](w, "/apis/discovery.k8s.io/v1/namespaces/"+w.ns+"/endpointslices").Items) == 0
	})
	w.ready("ghost1", "10.9.0.1", true)
	w.await("and comes back", func() bool {
		return len(read[discoveryv1.EndpointSliceList](w, "/apis/discovery.k8s.io/v1/namespaces/"+w.ns+"/endpointslices").Items) == 1
	})
	kept := func(all []string) []string {
		return slices.DeleteFunc(all, func(s string) bool { return !strings.HasPrefix(s, "Service ") && !strings.HasPrefix(s, "Secret ") })
	}
	if now := kept(w.made()); !slices.Equal(now, kept(before)) {
		t.Errorf("there were\n%s\nnow\n%s", strings.Join(kept(before), "\n"), strings.Join(now, "\n"))
	}
}
