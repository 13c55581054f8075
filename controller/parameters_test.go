package controller

import (
	"encoding/json"
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
)

// parameterized is a term with two nodes, one of them at the edge, and a Gateway
// whose class has parameters.
func parameterized(p *v1alpha1.GatewayParameters) (*term, *gatewayv1.Gateway) {
	t := bareTerm()
	t.nodes = newNodes()
	t.nodes.label("edge", labels.Set{"role": "edge"})
	for _, node := range []string{"edge", "core"} {
		t.nodes.change(model.ObjectRef{Name: node}, envoyOn(node, corev1.ConditionTrue))
	}
	class := &gatewayv1.GatewayClass{Spec: gatewayv1.GatewayClassSpec{ControllerName: Name, ParametersRef: &gatewayv1.ParametersReference{Group: "sluice.io", Kind: "GatewayParameters", Name: "p"}}}
	g := &gatewayv1.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}, Spec: gatewayv1.GatewaySpec{GatewayClassName: "c"}}
	t.classes, t.gateways = map[string]*gatewayv1.GatewayClass{"c": class}, map[model.GatewayKey]*gatewayv1.Gateway{gw("web"): g}
	t.parameters = map[string]*v1alpha1.GatewayParameters{}
	keep(t.parameters, "p", p)
	return t, g
}

// TestSelectedNodesServe proves that other nodes neither answer for addresses nor are
// endpoints, and that labels are followed.
func TestSelectedNodesServe(t *testing.T) {
	a := netip.MustParseAddr("192.0.2.1")
	p := &v1alpha1.GatewayParameters{Spec: v1alpha1.GatewayParametersSpec{NodeSelector: map[string]v1alpha1.LabelValue{"role": "edge"}}}
	tm, g := parameterized(p)
	for i := range 20 {
		a := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
		if node := tm.answerer(a, gw("web")); node != "edge" {
			t.Fatalf("%s is answered for by %q", a, node)
		}
	}
	params, ok := tm.parametersOf(g)
	if chunks := tm.endpoints(true, params); !ok || len(chunks) != 1 || len(chunks[0]) != 1 {
		t.Errorf("endpoints %v, want those of one node", chunks)
	}
	if tm.nodes.label("stranger", labels.Set{"role": "edge"}) || tm.nodes.label("edge", labels.Set{"role": "edge"}) || !tm.nodes.label("edge", labels.Set{}) {
		t.Error("a label is a change of those that serve when it is not, or is none when it is")
	}
	if node := tm.answerer(a, gw("web")); node != "" || len(tm.endpoints(true, params)) != 0 {
		t.Errorf("no node has the label, and %q answers", node)
	}
	tm.nodes.label("core", labels.Set{"role": "edge", "other": "x"})
	if node := tm.answerer(a, gw("web")); node != "core" {
		t.Errorf("%q answers, want the node that has the label now", node)
	}
	if names := tm.nodes.names(labels.Everything()); !slices.Equal(names, []string{"core", "edge"}) {
		t.Errorf("without parameters, %q serve", names)
	}
}

// TestAClassOfOtherNodes: when a Gateway goes over to another class, one of the nodes that
// it selects answers for the address, which stays.
func TestAClassOfOtherNodes(t *testing.T) {
	tm := idleTerm(t)
	for _, name := range []string{"edge", "core"} {
		tm.nodes.label(name, labels.Set{"role": name})
		tm.nodes.change(model.ObjectRef{Name: name}, envoyOn(name, corev1.ConditionTrue))
		tm.parameters[name] = &v1alpha1.GatewayParameters{Spec: v1alpha1.GatewayParametersSpec{NodeSelector: map[string]v1alpha1.LabelValue{"role": v1alpha1.LabelValue(name)}}}
		tm.classes[name] = &gatewayv1.GatewayClass{Spec: gatewayv1.GatewayClassSpec{
			ControllerName: Name, ParametersRef: &gatewayv1.ParametersReference{Group: "sluice.io", Kind: "GatewayParameters", Name: name},
		}}
	}
	ref := model.ObjectRef{Kind: kindAddressPool, Name: "pool"}
	tm.takePool(ref, poolObject("pool", 0, "192.0.2.1-192.0.2.9"))
	tm.said[gatewayRef(gw("web"))] = resolved("web", 80)
	for _, class := range []string{"edge", "core", "edge"} {
		g := &gatewayv1.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
		g.Spec = gatewayv1.GatewaySpec{GatewayClassName: gatewayv1.ObjectName(class), Listeners: []gatewayv1.Listener{{Name: "http", Port: 80, Protocol: "HTTP"}}}
		tm.takeGateway(gw("web"), g)
		tm.provision()
		var st v1alpha1.AddressPoolStatus
		if err := json.Unmarshal(tm.objects.Wants(ref).Status, &st); err != nil {
			t.Fatal(err)
		}
		if a := st.Assignments; len(a) != 1 || a[0].Address != "192.0.2.1" || a[0].Node != class {
			t.Errorf("of class %s, the assignments are %+v", class, a)
		}
	}
}

// TestParametersThatCannotBeFollowed: what they would change stays as it is.
func TestParametersThatCannotBeFollowed(t *testing.T) {
	broken := &v1alpha1.GatewayParameters{Spec: v1alpha1.GatewayParametersSpec{NodeSelector: map[string]v1alpha1.LabelValue{"no key": ""}}}
	for name, p := range map[string]*v1alpha1.GatewayParameters{"missing": nil, "broken": broken} {
		tm, g := parameterized(p)
		if _, ok := tm.parametersOf(g); ok {
			t.Errorf("%s parameters are followed", name)
		}
		if node := tm.answerer(netip.MustParseAddr("192.0.2.1"), gw("web")); node != "" {
			t.Errorf("%s parameters, and %q answers", name, node)
		}
	}
	tm, g := parameterized(&v1alpha1.GatewayParameters{})
	tm.classes["c"].Spec.ParametersRef.Kind = "ConfigMap"
	if _, ok := tm.parametersOf(g); ok {
		t.Error("parameters of another kind are followed")
	}
	tm.classes["c"].Spec.ParametersRef = nil
	if p, ok := tm.parametersOf(g); !ok || p != nil {
		t.Errorf("a class without parameters has %v, %v", p, ok)
	}
}

func TestServicesByParameters(t *testing.T) {
	ports := []servicePort{{model.PortKey{Gateway: gw("web"), Port: 80, Protocol: model.TCP}, 20001}}
	p := &v1alpha1.GatewayParameters{}
	p.Spec.Service = v1alpha1.GatewayService{Type: v1alpha1.GatewayServiceLoadBalancer, ExternalTrafficPolicy: "Cluster", Annotations: map[string]string{"a": "class", "b": "class"}}
	tm, g := parameterized(p)
	g.Spec.Infrastructure = &gatewayv1.GatewayInfrastructure{Annotations: map[gatewayv1.AnnotationKey]gatewayv1.AnnotationValue{"a": "gateway"}}
	live := serviceAt("web", 20001, "")
	live.Spec.Type, live.Spec.ExternalTrafficPolicy, live.Spec.ClusterIPs = corev1.ServiceTypeLoadBalancer, corev1.ServiceExternalTrafficPolicyLocal, []string{"10.96.0.1", "fd00:96::1"}
	show := func(live *corev1.Service) (map[string]any, map[string]any, []gatewayv1.GatewayStatusAddress) {
		f := &front{service: model.ObjectRef{Kind: kindService, Namespace: "shop", Name: "web"}}
		o := tm.reachable(gw("web"), g, p, f, ports, live)
		meta, _ := o.Body["metadata"].(map[string]any)
		annotations, _ := meta["annotations"].(map[string]any)
		spec, _ := o.Body["spec"].(map[string]any)
		return spec, annotations, f.addresses
	}
	spec, annotations, _ := show(live)
	if spec["type"] != "LoadBalancer" || spec["externalTrafficPolicy"] != "Cluster" || annotations["a"] != "gateway" || annotations["b"] != "class" {
		t.Errorf("Service %v, %v", spec, annotations)
	}
	p.Spec.Service = v1alpha1.GatewayService{Type: v1alpha1.GatewayServiceClusterIP}
	tm.pools.Change("pool", poolObject("pool", 0, "192.0.2.1"))
	spec, _, addresses := show(live)
	_, policy := spec["externalTrafficPolicy"]
	_, class := spec["loadBalancerClass"]
	if spec["type"] != "ClusterIP" || policy || class || len(addresses) != 2 || addresses[0].Value != "10.96.0.1" {
		t.Errorf("Service %v at %v", spec, addresses)
	}
	if _, _, addresses := show(nil); len(addresses) != 0 {
		t.Errorf("addresses %v before there is a Service", addresses)
	}
	// Back to a load balancer, with a pool that there is now.
	p.Spec.Service = v1alpha1.GatewayService{}
	live.Spec.Type = corev1.ServiceTypeClusterIP
	if spec, _, addresses := show(live); spec["loadBalancerClass"] != poolClass || len(addresses) != 1 {
		t.Errorf("Service %v at %v", spec, addresses)
	}
}

// TestAddressesAreAskedFor: one by the Service's field, several by the annotations
// that load balancers know, but those that a Gateway has itself.
func TestAddressesAreAskedFor(t *testing.T) {
	tm, g := parameterized(nil)
	delete(tm.classes, "c")
	ask := func(addresses string) (field any, annotations map[string]any) {
		f := &front{service: model.ObjectRef{Kind: kindService, Namespace: "shop", Name: "web"}}
		g.Spec.Addresses = nil
		for _, a := range addrs(addresses) {
			g.Spec.Addresses = append(g.Spec.Addresses, gatewayv1.GatewaySpecAddress{Value: a.String()})
		}
		o := tm.reachable(gw("web"), g, nil, f, []servicePort{{model.PortKey{Gateway: gw("web"), Port: 80, Protocol: model.TCP}, 20001}}, nil)
		meta, _ := o.Body["metadata"].(map[string]any)
		spec, _ := o.Body["spec"].(map[string]any)
		annotations, _ = meta["annotations"].(map[string]any)
		return spec["loadBalancerIP"], annotations
	}
	const list = "metallb.io/loadBalancerIPs"
	if field, annotations := ask(""); field != nil || annotations[list] != nil {
		t.Errorf("no address is asked for by %v, %v", field, annotations)
	}
	if field, annotations := ask("192.0.2.1"); field != "192.0.2.1" || annotations[list] != nil {
		t.Errorf("one address is asked for by %v, %v", field, annotations)
	}
	field, annotations := ask("192.0.2.1 2001:db8::1")
	for _, key := range addressAnnotations {
		if field != nil || annotations[key] != "192.0.2.1,2001:db8::1" {
			t.Errorf("two addresses are asked for by %v, %s=%v", field, key, annotations[key])
		}
	}
	g.Spec.Infrastructure = &gatewayv1.GatewayInfrastructure{Annotations: map[gatewayv1.AnnotationKey]gatewayv1.AnnotationValue{list: "own"}}
	if _, annotations := ask("192.0.2.1 2001:db8::1"); annotations[list] != "own" || annotations[addressAnnotations[1]] == nil {
		t.Errorf("a Gateway's own word is %v", annotations)
	}
	tm.pools.Change("pool", poolObject("pool", 0, "192.0.2.1"))
	if field, annotations := ask("192.0.2.1 2001:db8::1"); field != nil || annotations[list] != "own" || annotations[addressAnnotations[1]] != nil {
		t.Errorf("of a pool addresses are asked for by %v, %v", field, annotations)
	}
}
