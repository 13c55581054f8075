package controller

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"sluice.io/sluice/controller/object"
	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/test/cluster/build"
)

// bounds puts the chart's policy for the account of a controller in force.
func (w *world) bounds() {
	w.t.Helper()
	w.fromChart("controller-policy.yaml", "sluice-controller")
}

// fromChart puts an admission policy of the chart's in force, and takes it away after
// the test.
func (w *world) fromChart(template, policy string) {
	w.t.Helper()
	cache, err := build.Open(w.t.Logf)
	if err != nil {
		w.t.Fatal(err)
	}
	helm, err := cache.Helm(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.CommandContext(w.t.Context(), helm, "template", "sluice", "../charts/sluice", "--namespace", w.system,
		"--show-only", "templates/"+template, "--kube-version", "v1.35.0", "--set", "gatewayAPI.check=false")
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+w.t.TempDir(), "HELM_CONFIG_HOME="+w.t.TempDir(), "HELM_DATA_HOME="+w.t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("%v\n%s", err, out)
	}
	w.Apply(w.t, string(out))
	w.t.Cleanup(func() {
		w.Kube(w.t, "delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", policy, "--ignore-not-found")
	})
}

// account reaches the API server as the controller does, with its rights.
func (w *world) account() *rest.Config {
	w.t.Helper()
	return w.As(w.t, "system:serviceaccount:"+w.system+":sluice-controller", w.rights())
}

// bounded are objects that a controller's account tries to write to. Nothing comes of it:
// requests are only looked at.
type bounded struct {
	w        *world
	kind     string
	resource dynamic.ResourceInterface
}

func (w *world) bounded(config *rest.Config, kind string) bounded {
	w.t.Helper()
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		w.t.Fatal(err)
	}
	b := bounded{w: w, kind: kind, resource: client.Resource(resources[kind])}
	if kind != kindGatewayClass {
		b.resource = client.Resource(resources[kind]).Namespace(w.ns)
	}
	return b
}

var dryRun = []string{metav1.DryRunAll}

func (b bounded) remove(name string) error {
	return b.resource.Delete(b.w.t.Context(), name, metav1.DeleteOptions{DryRun: dryRun})
}

func (b bounded) patch(name, patch string, subresources ...string) error {
	_, err := b.resource.Patch(b.w.t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{DryRun: dryRun}, subresources...)
	return err
}

// apply applies an object, as the controller does; labels are pairs.
func (b bounded) apply(name string, fields map[string]any, labels ...string) error {
	text, err := json.Marshal(b.object(name, fields, labels...))
	if err != nil {
		return err
	}
	force := true
	_, err = b.resource.Patch(b.w.t.Context(), name, types.ApplyPatchType, text, metav1.PatchOptions{FieldManager: object.Manager, Force: &force, DryRun: dryRun})
	return err
}

func (b bounded) create(name string, fields map[string]any, labels ...string) error {
	_, err := b.resource.Create(b.w.t.Context(), b.object(name, fields, labels...), metav1.CreateOptions{DryRun: dryRun})
	return err
}

// object has a name, or one that is generated where it ends with a dash.
func (b bounded) object(name string, fields map[string]any, labels ...string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{}}
	for k, v := range fields {
		o.Object[k] = v
	}
	o.SetAPIVersion(resources[b.kind].GroupVersion().String())
	o.SetKind(b.kind)
	if o.SetName(name); strings.HasSuffix(name, "-") {
		o.SetName("")
		o.SetGenerateName(name)
	}
	set := map[string]string{}
	for pair := range slices.Chunk(labels, 2) {
		set[pair[0]] = pair[1]
	}
	if len(set) > 0 {
		o.SetLabels(set)
	}
	return o
}

// somebodys are a Service and an EndpointSlice that are not Sluice's, one Service that is,
// and one that was, as somebody has taken its label away.
func (w *world) somebodys() {
	w.t.Helper()
	w.Apply(w.t, strings.NewReplacer("NS", w.ns, "CLASS", w.class).Replace(`
apiVersion: v1
kind: Service
metadata: {name: theirs, namespace: NS, labels: {app.kubernetes.io/managed-by: Helm}}
spec: {type: LoadBalancer, ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: theirs-1, namespace: NS, labels: {kubernetes.io/service-name: theirs, endpointslice.kubernetes.io/managed-by: other.example.com}}
addressType: IPv4
endpoints: [{addresses: [192.0.2.1]}]
---
apiVersion: v1
kind: Service
metadata: {name: ours, namespace: NS, labels: {app.kubernetes.io/managed-by: sluice-controller}}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: lost, namespace: NS}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: CLASS-theirs}
spec: {controllerName: example.com/other}
`))
	w.t.Cleanup(func() { w.endClass(w.class + "-theirs") })
	w.Kube(w.t, "patch", "service", "-n", w.ns, "lost", "--subresource=status", "--type=merge", "-p", targetsPatch)
}

// targetsPatch is what only the controller writes into the status of a Service.
var targetsPatch = fmt.Sprintf(`{"status":{"conditions":[{"type":%q,"status":"True","reason":%q,"message":"Gateway gw: 80/TCP=20080","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`,
	v1alpha1.ServiceConditionTargets, v1alpha1.ServiceReasonAllotted)

// TestControllersBounds tries to get round the chart's policy with the controller's
// account and rights, and wants what the controller does to pass.
func TestControllersBounds(t *testing.T) {
	w := newWorld(t)
	w.somebodys()
	w.bounds()
	config := w.account()
	services, endpoints, classes := w.bounded(config, kindService), w.bounded(config, kindEndpointSlice), w.bounded(config, kindGatewayClass)
	w.await("the policy is in force", func() bool {
		err := services.remove("theirs")
		return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "the controller writes to its own Services only")
	})
	const by = object.ManagedBy
	spec := map[string]any{"spec": map[string]any{"ports": []any{map[string]any{"name": "http", "port": int64(80)}}, "selector": map[string]any{}}}
	slice := map[string]any{"addressType": "IPv4", "endpoints": []any{}, "ports": []any{}}
	claimed := map[string]any{"spec": spec["spec"]}
	_ = json.Unmarshal([]byte(targetsPatch), &claimed)
	label := fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, by, object.Manager)
	kubernetes := []string{discoveryv1.LabelManagedBy, kubernetesManager, discoveryv1.LabelServiceName, "theirs"}
	for what, try := range map[string]error{
		"a Service is taken over":                 services.apply("theirs", spec, by, object.Manager),
		"a Service gets the label":                services.patch("theirs", label),
		"a Service is changed":                    services.patch("theirs", `{"spec":{"selector":{"app":"thief"}}}`),
		"a Service gets an address":               services.patch("theirs", `{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}}`, "status"),
		"a Service gets the label by its status":  services.patch("theirs", label, "status"),
		"a Service gets ports by its status":      services.patch("theirs", targetsPatch, "status"),
		"a Service is made without the label":     services.create("new", spec),
		"a Service is made with another's label":  services.create("new", spec, by, "Helm"),
		"a Service is made with ports":            services.create("new", claimed),
		"a Service is made with a generated name": services.create("new-", spec),
		"a Service is applied without the label":  services.apply("new", spec),
		"our Service is given away":               services.patch("ours", fmt.Sprintf(`{"metadata":{"labels":{%q:null}}}`, by)),
		"a slice is removed":                      endpoints.remove("theirs-1"),
		"a slice is taken over":                   endpoints.apply("theirs-1", slice, by, object.Manager, discoveryv1.LabelManagedBy, sliceManager),
		"a slice gets the label":                  endpoints.patch("theirs-1", label),
		"a slice is changed":                      endpoints.patch("theirs-1", `{"endpoints":[{"addresses":["192.0.2.2"]}]}`),
		"a slice is made without a label":         endpoints.create("new", slice),
		"a slice is made as Kubernetes'":          endpoints.create("new", slice, kubernetes...),
		"a class is described":                    classes.patch(w.class, `{"spec":{"description":"x"}}`),
		"a class gets parameters":                 classes.patch(w.class, `{"spec":{"parametersRef":{"group":"sluice.io","kind":"GatewayParameters","name":"x"}}}`),
		"a class gets a label":                    classes.patch(w.class, `{"metadata":{"labels":{"a":"b"}}}`),
		"a class gets an annotation":              classes.patch(w.class, `{"metadata":{"annotations":{"a":"b"}}}`),
		"a class gets an owner":                   classes.patch(w.class, `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Namespace","name":"x","uid":"y"}]}}`),
		"a class gets another's finalizer":        classes.patch(w.class, `{"metadata":{"finalizers":["example.com/mine"]}}`),
		"another's class is held":                 classes.patch(w.class+"-theirs", fmt.Sprintf(`{"metadata":{"finalizers":[%q]}}`, finalizer)),
	} {
		if !apierrors.IsForbidden(try) || !strings.Contains(try.Error(), ": the controller ") {
			t.Errorf("%s: %v, want that the policy forbids it", what, try)
		}
	}
	for what, err := range map[string]error{
		"a Service that lost its label gets it back": services.apply("lost", spec, by, object.Manager),
		"and its status":                      services.patch("lost", targetsPatch, "status"),
		"a Service of ours is changed":        services.patch("ours", `{"spec":{"ports":[{"name":"http","port":81}]}}`),
		"its status is":                       services.patch("ours", targetsPatch, "status"),
		"it is removed":                       services.remove("ours"),
		"a Service is made":                   services.create("new", spec, by, object.Manager),
		"a slice is made":                     endpoints.create("new", slice, by, object.Manager, discoveryv1.LabelManagedBy, sliceManager),
		"a class of ours is held":             classes.patch(w.class, fmt.Sprintf(`{"metadata":{"finalizers":[%q]}}`, finalizer)),
		"an administrator may do as he likes": w.bounded(w.Config(t), kindService).patch("theirs", label),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestControllerWithinBounds: the policy refuses nothing of what a controller does.
func TestControllerWithinBounds(t *testing.T) {
	w := newWorld(t)
	w.bounds()
	config := w.account()
	classes := w.bounded(config, kindGatewayClass)
	w.await("the policy is in force", func() bool { return apierrors.IsForbidden(classes.patch(w.class, `{"spec":{"description":"x"}}`)) })
	w.full()
	r := w.start(w.options(config, "one"))
	w.complete()
	w.await("the class is held", func() bool { return slices.Contains(w.readClass().Finalizers, finalizer) })
	name := "gw-" + w.class
	w.Kube(t, "patch", "service", "-n", w.ns, name, "--type=merge", "-p", `{"spec":{"selector":{"app":"thief"}}}`)
	w.Kube(t, "patch", "endpointslice", "-n", w.ns, name+"-ipv4-0", "--type=merge", "-p", `{"metadata":{"labels":{"endpointslice.kubernetes.io/managed-by":null}}}`)
	w.await("what others changed is put right", func() bool {
		all := read[discoveryv1.EndpointSliceList](w, "/apis/discovery.k8s.io/v1/namespaces/"+w.ns+"/endpointslices").Items
		ours := func(s discoveryv1.EndpointSlice) bool { return s.Labels[discoveryv1.LabelManagedBy] == sliceManager }
		return len(w.service(name).Spec.Selector) == 0 && len(all) == 1 && ours(all[0])
	})
	w.settled(r)
	for _, kind := range []string{kindService, kindEndpointSlice, kindGatewayClass} {
		if n := r.metric(t, fmt.Sprintf(`sluice_controller_writes_total{kind=%q,result="error"}`, kind)); n > 0 {
			t.Errorf("%d writes of %s were refused", n, kind)
		}
	}
	w.Kube(t, "delete", "gateway", "-n", w.ns, "gw")
	w.await("all goes with the Gateway", func() bool {
		return w.service(name) == nil && !slices.Contains(w.readClass().Finalizers, finalizer)
	})
}
