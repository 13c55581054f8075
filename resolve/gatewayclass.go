package resolve

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/source"
)

// ControllerName is what GatewayClasses name whose Gateways are Sluice's.
const ControllerName = "sluice.io/gateway-controller"

// gatewayClass is a GatewayClass of ours.
type gatewayClass struct {
	origin model.Origin
	// parameters names the class's GatewayParameters; empty for none.
	parameters string
	wrong      *finding.Finding // with its own fields
}

func (u *round) ingestClass(n string, obj *source.Object) {
	u.report.Add(model.ObjectRef{Kind: object.KindGatewayClass, Name: n})
	for gw := range u.classMembers[n] {
		u.gatewaysTouched.Add(gw)
	}
	delete(u.classes, n)
	o, ok := object.As[*gatewayv1.GatewayClass](obj)
	if !ok || o.Spec.ControllerName != ControllerName {
		return
	}
	c := &gatewayClass{origin: obj.Origin}
	if p := o.Spec.ParametersRef; p != nil {
		c.parameters = p.Name
		if string(p.Group) != v1alpha1.GroupVersion.Group || p.Kind != object.KindParameters || p.Namespace != nil {
			c.wrong = invalidParameters("parametersRef names %s.%s %s: want a %s of group %s, which has no namespace",
				p.Kind, p.Group, p.Name, object.KindParameters, v1alpha1.GroupVersion.Group)
		}
	}
	u.classes[n] = c
}

// ingestDefinition has the classes say anew which release of the Gateway API is
// installed.
func (u *round) ingestDefinition(n string, obj *source.Object) {
	o, _ := object.As[*metav1.PartialObjectMetadata](obj)
	if !u.installed.Put(n, o) {
		return
	}
	for class := range u.classes {
		u.report.Add(model.ObjectRef{Kind: object.KindGatewayClass, Name: class})
	}
}

func invalidParameters(format string, args ...any) *finding.Finding {
	return finding.New(finding.InvalidParameters, format, args...)
}

// ingestParameters marks the classes that name GatewayParameters, and their
// Gateways. What they say is for the controller to do.
func (u *round) ingestParameters(n string, obj *source.Object) {
	for class, c := range u.classes {
		if c.parameters != n {
			continue
		}
		u.report.Add(model.ObjectRef{Kind: object.KindGatewayClass, Name: class})
		for gw := range u.classMembers[class] {
			u.gatewaysTouched.Add(gw)
		}
	}
	delete(u.parameters, n)
	if o, ok := object.As[*v1alpha1.GatewayParameters](obj); ok {
		u.parameters[n] = o.Validate()
	}
}

// refused says why a class is not accepted; nil when it is.
func (r *Resolver) refused(c *gatewayClass) *finding.Finding {
	if c.wrong != nil || c.parameters == "" {
		return c.wrong
	}
	wrong, there := r.parameters[c.parameters]
	switch {
	case !there:
		return invalidParameters("parametersRef names %s %s, which does not exist", object.KindParameters, c.parameters)
	case wrong != nil:
		return invalidParameters("%s %s: %v", object.KindParameters, c.parameters, wrong)
	}
	return nil
}

func (r *Resolver) classStatus(c *gatewayClass) *model.Status {
	st := &model.Status{Origin: c.origin, Features: r.installed.Features()}
	if wrong := r.refused(c); wrong != nil {
		st.Conditions = []model.Condition{wrong.Condition(conditionAccepted, false)}
	} else {
		st.Conditions = []model.Condition{finding.New(finding.Accepted, "Gateways of this class are served").Condition(conditionAccepted, true)}
	}
	st.Conditions = append(st.Conditions, r.installed.SupportedVersion())
	return st
}
