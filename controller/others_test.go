package controller

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/controller/object"
	"sluice.io/sluice/controller/status"
	"sluice.io/sluice/model"
)

// TestNamesOfSlices: those of others are passed over, and what is there stays where it is.
func TestNamesOfSlices(t *testing.T) {
	tm := idleTerm(t)
	g := &gatewayv1.Gateway{}
	g.Namespace, g.Name = "shop", "web"
	ref := func(i int) model.ObjectRef {
		return model.ObjectRef{Kind: kindEndpointSlice, Namespace: "shop", Name: fmt.Sprintf("web-c-ipv4-%d", i)}
	}
	see := func(i int, uid types.UID, labels map[string]string) {
		s := &discoveryv1.EndpointSlice{}
		s.Namespace, s.Name, s.UID, s.Labels = "shop", ref(i).Name, uid, labels
		tm.takeSlice(ref(i), s)
	}
	expect := func(when, want string) {
		t.Helper()
		var names []string
		for _, r := range tm.sliceRefs(g, "web-c", discoveryv1.AddressTypeIPv4, len(strings.Fields(want))) {
			names = append(names, strings.TrimPrefix(r.Name, "web-c-ipv4-"))
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: slices %s, want %s", when, got, want)
		}
	}
	mine := map[string]string{discoveryv1.LabelManagedBy: sliceManager, discoveryv1.LabelServiceName: "web-c"}
	expect("nothing is there", "0 1")
	see(0, "a", map[string]string{discoveryv1.LabelManagedBy: "example.com/other"})
	expect("the first is another's", "1 2")
	see(1, "b", mine)
	tm.made.add(gw("web"), ref(1))
	tm.maker[ref(1)] = gw("web")
	expect("the second is there", "1")
	tm.takeSlice(ref(0), nil)
	expect("the first has gone", "1")
	expect("another is needed", "1 0")
	for _, manager := range []string{"", "x"} {
		see(1, "b", map[string]string{object.ManagedBy: object.Manager, discoveryv1.LabelManagedBy: manager})
		expect("ours has lost a label", "1")
	}
	see(1, "b", nil)
	expect("ours has lost both", "0")
	see(1, "b", mine)
	expect("and has them again", "1")
	clear(tm.dirty)
	see(1, "c", map[string]string{object.ManagedBy: object.Manager, discoveryv1.LabelManagedBy: "x"})
	expect("another's is in the place of ours", "0")
	if !tm.dirty[gw("web")] {
		t.Error("its Gateway is not looked at")
	}
	if tm.takeSlice(ref(1), nil); len(tm.others) > 0 || len(tm.slices) > 0 {
		t.Errorf("of what has gone is left %v, %v", tm.others, tm.slices)
	}
}

// TestASliceOfOthersIsLeftAlone, and its Gateway is served by one of another name, also
// when the name is free again.
func TestASliceOfOthersIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.node("ghost1", "10.9.0.1")
	w.pool(`"192.0.2.228/31"`)
	name := "gw-" + w.class + "-ipv4-"
	slice := func(i int) *discoveryv1.EndpointSlice {
		return read[discoveryv1.EndpointSlice](w, fmt.Sprintf("/apis/discovery.k8s.io/v1/namespaces/%s/endpointslices/%s%d", w.ns, name, i))
	}
	w.Apply(t, fmt.Sprintf("apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: %s0, namespace: %s}\naddressType: IPv6\nendpoints: [{addresses: [\"2001:db8::7\"]}]\nports: [{name: x, port: 7}]\n", name, w.ns))
	was := slice(0).ResourceVersion
	w.gateway("gw", "")
	w.run()
	leads := func(i, endpoints int) func() bool {
		return func() bool {
			s := slice(i)
			return s != nil && len(s.Endpoints) == endpoints && s.Labels[discoveryv1.LabelServiceName] == "gw-"+w.class && condition(w.readGateway("gw"), status.Programmed) == "True Programmed"
		}
	}
	w.await("served", leads(1, 1))
	if s := slice(0); s == nil || s.ResourceVersion != was {
		t.Errorf("another's slice became %+v", s)
	}
	w.Kube(t, "delete", "endpointslice", "-n", w.ns, name+"0")
	w.node("ghost2", "10.9.0.2")
	w.await("another node serves as well", leads(1, 2))
	if s := slice(0); s != nil {
		t.Errorf("ours went to %+v", s)
	}
	w.Kube(t, "patch", "endpointslice", "-n", w.ns, name+"1", "--type=merge", "-p", `{"metadata":{"labels":null}}`)
	w.await("another takes the place of one that has lost its labels", leads(0, 2))
	w.Kube(t, "delete", "gateway", "-n", w.ns, "gw")
	w.await("they go with the Gateway", func() bool { return slice(0) == nil && slice(1) == nil })
}

// roundTripper is one that is a function.
type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip does what the function does.
func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// TestOnlyWhatWasSeenIsRemoved: what somebody has put in the place of a Service of ours
// stays, though the controller, which removes ours, does not know yet.
func TestOnlyWhatWasSeenIsRemoved(t *testing.T) {
	w := newWorld(t)
	w.node("ghost1", "10.9.0.1")
	w.pool(`"192.0.2.230/31"`)
	other := w.class + "-other"
	w.makeClass(other, "example.com/other")
	t.Cleanup(func() { w.endClass(other) })
	name := "gw-" + w.class
	replace := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := w.Kubectl(ctx, "delete", "service", "-n", w.ns, name); err != nil {
			return err
		}
		_, err := w.KubectlWith(ctx, fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {name: %s, namespace: %s}\nspec: {ports: [{port: 7}]}\n", name, w.ns), "create", "-f", "-")
		return err
	}
	var once sync.Once
	replaced := make(chan error, 1)
	config := w.Config(t)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			if req.Method == http.MethodDelete && strings.HasSuffix(req.URL.Path, "/namespaces/"+w.ns+"/services/"+name) {
				once.Do(func() { replaced <- replace() })
			}
			return next.RoundTrip(req)
		})
	})
	r := w.start(w.options(config, "one"))
	w.gateway("gw", "")
	w.await("served", func() bool { return condition(w.readGateway("gw"), status.Programmed) == "True Programmed" })
	w.gatewayOf("gw", "", other)
	w.await("ours is removed, and another is there", func() bool { return len(replaced) > 0 })
	if err := <-replaced; err != nil {
		t.Fatal(err)
	}
	w.await("the removal is refused", func() bool {
		return r.metric(t, `sluice_controller_writes_total{kind="Service",result="conflict"}`) > 0
	})
	w.gateway("next", "")
	w.await("the next one is served", func() bool { return condition(w.readGateway("next"), status.Programmed) == "True Programmed" })
	if svc := w.service(name); svc == nil || svc.Spec.Ports[0].Port != 7 {
		t.Errorf("what was in its place is %+v", svc)
	}
}
