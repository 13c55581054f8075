package kube

import (
	"maps"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// TestClaims: whose references are followed, as classes, Gateways and ListenerSets come,
// change and go, in any order.
func TestClaims(t *testing.T) {
	const ours, theirs = "example.com/ours", "example.com/theirs"
	class := func(name, controller string) source.KubeObject {
		return &gatewayv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: gatewayv1.GatewayClassSpec{ControllerName: gatewayv1.GatewayController(controller)}}
	}
	gateway := func(class string) source.KubeObject {
		return &gatewayv1.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "gw"}, Spec: gatewayv1.GatewaySpec{GatewayClassName: gatewayv1.ObjectName(class)}}
	}
	set := func(parent string) source.KubeObject {
		namespace := gatewayv1.Namespace("a")
		return &gatewayv1.ListenerSet{
			ObjectMeta: metav1.ObjectMeta{Namespace: "b", Name: "set"},
			Spec:       gatewayv1.ListenerSetSpec{ParentRef: gatewayv1.ParentGatewayReference{Namespace: &namespace, Name: gatewayv1.ObjectName(parent)}},
		}
	}
	classRef := model.ObjectRef{Kind: "GatewayClass", Name: "one"}
	gatewayRef := model.ObjectRef{Kind: "Gateway", Namespace: "a", Name: "gw"}
	setRef := model.ObjectRef{Kind: "ListenerSet", Namespace: "b", Name: "set"}
	policyRef := model.ObjectRef{Kind: "BackendTLSPolicy", Namespace: "a", Name: "p"}
	c := newClaims(ours)
	followed := map[string]bool{}
	for _, step := range []struct {
		what string
		ref  model.ObjectRef
		obj  source.KubeObject
		want []string
	}{
		{"a policy", policyRef, &gatewayv1.BackendTLSPolicy{}, []string{"BackendTLSPolicy"}},
		{"a set of no Gateway", setRef, set("gw"), []string{"BackendTLSPolicy"}},
		{"a Gateway of no class", gatewayRef, gateway("one"), []string{"BackendTLSPolicy"}},
		{"the class is theirs", classRef, class("one", theirs), []string{"BackendTLSPolicy"}},
		{"the class is ours", classRef, class("one", ours), []string{"BackendTLSPolicy", "Gateway", "ListenerSet"}},
		{"the Gateway is of another class", gatewayRef, gateway("two"), []string{"BackendTLSPolicy"}},
		{"and back", gatewayRef, gateway("one"), []string{"BackendTLSPolicy", "Gateway", "ListenerSet"}},
		{"the set is another's", setRef, set("other"), []string{"BackendTLSPolicy", "Gateway"}},
		{"and back", setRef, set("gw"), []string{"BackendTLSPolicy", "Gateway", "ListenerSet"}},
		{"the class goes", classRef, nil, []string{"BackendTLSPolicy"}},
		{"and comes back", classRef, class("one", ours), []string{"BackendTLSPolicy", "Gateway", "ListenerSet"}},
		{"the Gateway goes", gatewayRef, nil, []string{"BackendTLSPolicy"}},
		{"the set goes", setRef, nil, []string{"BackendTLSPolicy"}},
		{"the Gateway comes back", gatewayRef, gateway("one"), []string{"BackendTLSPolicy", "Gateway"}},
		{"the policy goes", policyRef, nil, []string{"Gateway"}},
	} {
		c.change(step.ref, step.obj)
		for ref, obj := range c.changes() {
			if obj == nil {
				delete(followed, ref.Kind)
			} else {
				followed[ref.Kind] = true
			}
		}
		if got := slices.Sorted(maps.Keys(followed)); !slices.Equal(got, step.want) {
			t.Errorf("%s: followed are %v, want %v", step.what, got, step.want)
		}
	}
	all := newClaims("")
	all.change(gatewayRef, gateway("any"))
	all.change(setRef, set("none"))
	if due := all.changes(); due[gatewayRef] == nil || due[setRef] == nil {
		t.Errorf("without a controller's name, followed are %v", due)
	}
}
