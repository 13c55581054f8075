package controller

import (
	"fmt"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/controller/status"
	"sluice.io/sluice/model"
)

// parting has it said of a Gateway that it is no longer served, unless it never was.
func (t *term) parting(k model.GatewayKey, g *gatewayv1.Gateway, was *front) {
	if was == nil && len(t.servicesOf[k]) == 0 {
		return
	}
	f := &status.Farewell{Ours: true, Why: "the Gateway is gone", Alone: true}
	if g != nil {
		f.Why = fmt.Sprintf("GatewayClass %s is not Sluice's", g.Spec.GatewayClassName)
		f.Alone = t.classes[string(g.Spec.GatewayClassName)] == nil
		if f.Alone {
			f.Why, f.Keep = fmt.Sprintf("there is no GatewayClass %s: nothing is served; what was made for the Gateway stays", g.Spec.GatewayClassName), true
		}
	}
	t.partings[k] = f
	t.due[k] = true
}
