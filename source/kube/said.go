package kube

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// Said reads what a controller has written into an object's status. Current
// tells that it is about the object as it stands. It is nil where nothing was
// written.
func Said(ref model.ObjectRef, obj source.KubeObject, controller string) (st *model.Status, current bool) {
	r := said{st: &model.Status{Origin: model.Origin{Object: ref, Rule: -1}}, generation: obj.GetGeneration(), current: true}
	switch o := obj.(type) {
	case *gatewayv1.GatewayClass:
		if o.Spec.ControllerName != gatewayv1.GatewayController(controller) {
			return nil, true
		}
		r.st.Conditions = r.conditions(o.Status.Conditions)
	case *gatewayv1.Gateway:
		r.st.Conditions = r.conditions(o.Status.Conditions)
		for _, l := range o.Status.Listeners {
			r.st.Listeners = append(r.st.Listeners, model.ListenerStatus{Name: string(l.Name), AttachedRoutes: l.AttachedRoutes, Conditions: r.conditions(l.Conditions)})
		}
	case *gatewayv1.ListenerSet:
		r.st.Conditions = r.conditions(o.Status.Conditions)
		for _, l := range o.Status.Listeners {
			r.st.Listeners = append(r.st.Listeners, model.ListenerStatus{Name: string(l.Name), AttachedRoutes: l.AttachedRoutes, Conditions: r.conditions(l.Conditions)})
		}
	case *gatewayv1.HTTPRoute:
		r.parents(o.Status.Parents, controller)
	case *gatewayv1.GRPCRoute:
		r.parents(o.Status.Parents, controller)
	case *gatewayv1.TLSRoute:
		r.parents(o.Status.Parents, controller)
	case *gatewayv1.TCPRoute:
		r.parents(o.Status.Parents, controller)
	case *gatewayv1.UDPRoute:
		r.parents(o.Status.Parents, controller)
	case *gatewayv1.BackendTLSPolicy:
		for _, a := range o.Status.Ancestors {
			if a.ControllerName == gatewayv1.GatewayController(controller) {
				r.parent(a.AncestorRef, a.Conditions)
			}
		}
	}
	if len(r.st.Conditions)+len(r.st.Parents) == 0 {
		return nil, true
	}
	return r.st, r.current
}

// said gathers conditions.
type said struct {
	st         *model.Status
	generation int64
	current    bool
}

func (r *said) parents(all []gatewayv1.RouteParentStatus, controller string) {
	for _, p := range all {
		if p.ControllerName == gatewayv1.GatewayController(controller) {
			r.parent(p.ParentRef, p.Conditions)
		}
	}
}

func (r *said) parent(ref gatewayv1.ParentReference, conditions []metav1.Condition) {
	p := model.ParentStatus{Parent: model.ObjectRef{Kind: "Gateway", Namespace: r.st.Origin.Object.Namespace, Name: string(ref.Name)}, Conditions: r.conditions(conditions)}
	if ref.Kind != nil {
		p.Parent.Kind = string(*ref.Kind)
	}
	if ref.Namespace != nil {
		p.Parent.Namespace = string(*ref.Namespace)
	}
	if ref.Port != nil {
		p.Port = uint16(*ref.Port)
	}
	if ref.SectionName != nil {
		p.Section = string(*ref.SectionName)
	}
	r.st.Parents = append(r.st.Parents, p)
}

func (r *said) conditions(all []metav1.Condition) []model.Condition {
	var out []model.Condition
	for _, c := range all {
		r.current = r.current && c.ObservedGeneration == r.generation
		out = append(out, model.Condition{Type: c.Type, Status: c.Status == metav1.ConditionTrue, Reason: c.Reason, Message: c.Message})
	}
	return slices.Clip(out)
}
