package resolve

import (
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// ControllerName is what GatewayClasses name whose Gateways are Sluice's.
const ControllerName = "sluice.io/gateway-controller"

// gatewayClass is a GatewayClass of ours.
type gatewayClass struct {
	origin model.Origin
	wrong  *finding
}

func (u *round) ingestClass(n string, obj *source.Object) {
	u.report.add(model.ObjectRef{Kind: kindGatewayClass, Name: n})
	for gw := range u.classMembers[n] {
		u.gatewaysTouched.add(gw)
	}
	delete(u.classes, n)
	o, ok := typed[*gatewayv1.GatewayClass](obj)
	if !ok || o.Spec.ControllerName != ControllerName {
		return
	}
	c := &gatewayClass{origin: obj.Origin}
	if p := o.Spec.ParametersRef; p != nil {
		c.wrong = &finding{reason: reasonInvalidParameters, message: "parametersRef names " + string(p.Kind) + "." + string(p.Group) + " " + p.Name + ": there are no parameters for Sluice's GatewayClasses"}
	}
	u.classes[n] = c
}

func (c *gatewayClass) status() *model.Status {
	st := &model.Status{Origin: c.origin, Features: features}
	version := finding{reason: string(gatewayv1.GatewayClassReasonSupportedVersion), message: "Gateway API v1.6 is served"}
	if c.wrong != nil {
		st.Conditions = []model.Condition{c.wrong.condition(conditionAccepted, false)}
	} else {
		ok := finding{reason: reasonAccepted, message: "Gateways of this class are served"}
		st.Conditions = []model.Condition{ok.condition(conditionAccepted, true)}
	}
	st.Conditions = append(st.Conditions, version.condition(string(gatewayv1.GatewayClassConditionStatusSupportedVersion), true))
	return st
}
