package controller

import (
	"maps"
	"net/netip"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
)

// parametersOf are those of a Gateway's class; nil when it has none. It tells
// whether they can be followed: if not, the class is not accepted.
func (t *term) parametersOf(g *gatewayv1.Gateway) (*v1alpha1.GatewayParameters, bool) {
	class := t.classes[string(g.Spec.GatewayClassName)]
	if class == nil || class.Spec.ParametersRef == nil {
		return nil, true
	}
	ref := class.Spec.ParametersRef
	p := t.parameters[ref.Name]
	ok := string(ref.Group) == v1alpha1.GroupVersion.Group && string(ref.Kind) == kindParameters && ref.Namespace == nil &&
		p != nil && p.Validate() == nil
	return p, ok
}

// answerer is the node that answers for an address of a Gateway; empty when there
// is none.
func (t *term) answerer(a netip.Addr, gw model.GatewayKey) string {
	g := t.gateways[gw]
	if g == nil {
		return ""
	}
	params, ok := t.parametersOf(g)
	if !ok {
		return "" // it is not served
	}
	now := ""
	if was := t.answers[a]; was.Gateway == (v1alpha1.GatewayReference{Namespace: gw.Namespace, Name: gw.Name}) {
		now = was.Node
	}
	return t.nodes.choose(a, params.Selector().AsSelector(), now)
}

// annotate adds what parameters say of a Service's annotations.
func annotate(meta map[string]any, params *v1alpha1.GatewayParameters) {
	if params == nil {
		return
	}
	all := map[string]any{}
	for k, v := range params.Spec.Service.Annotations {
		all[k] = v
	}
	own, _ := meta["annotations"].(map[string]any)
	maps.Copy(all, own) // the Gateway's go first
	meta["annotations"] = all
}
