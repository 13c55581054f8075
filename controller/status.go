package controller

import (
	"reflect"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// wish is the status that an object should have.
type wish struct {
	// status is nil when Sluice has nothing to say of the object.
	status *model.Status
	// generation is that of the object which the status is about.
	generation int64
	// addresses are a Gateway's.
	addresses []gatewayv1.GatewayStatusAddress
	// farewell goes with no status, for what was served before.
	farewell *farewell
}

// troubled is a wish that says of a Gateway why it cannot be programmed.
func (w wish) troubled(why string) wish {
	c := conditionOf(w.status, programmed)
	if why == "" || c == nil || c.Status || c.Reason != pending && c.Reason != addressNotAssigned {
		return w
	}
	now := *w.status
	now.Conditions = slices.Clone(now.Conditions)
	conditionOf(&now, programmed).Message += after(why)
	w.status = &now
	return w
}

// statusPatch makes the part of an object's status that is Sluice's, nil when
// the object has it already. What others wrote stays.
func statusPatch(live source.KubeObject, w wish, now metav1.Time) any {
	switch o := live.(type) {
	case *gatewayv1.GatewayClass:
		return classStatus(o, w, now)
	case *gatewayv1.Gateway:
		return gatewayStatus(o, w, now)
	case *gatewayv1.ListenerSet:
		return listenerSetStatus(o, w, now)
	case *gatewayv1.HTTPRoute:
		return routeStatus(o.Spec.ParentRefs, o.Status.Parents, w, now)
	case *gatewayv1.GRPCRoute:
		return routeStatus(o.Spec.ParentRefs, o.Status.Parents, w, now)
	case *gatewayv1.TLSRoute:
		return routeStatus(o.Spec.ParentRefs, o.Status.Parents, w, now)
	case *gatewayv1.TCPRoute:
		return routeStatus(o.Spec.ParentRefs, o.Status.Parents, w, now)
	case *gatewayv1.UDPRoute:
		return routeStatus(o.Spec.ParentRefs, o.Status.Parents, w, now)
	case *gatewayv1.BackendTLSPolicy:
		return policyStatus(o.Status.Ancestors, w, now)
	}
	return nil
}

// maxFeatures is how many a GatewayClass may list.
const maxFeatures = 64

func classStatus(o *gatewayv1.GatewayClass, w wish, now metav1.Time) any {
	if w.status == nil {
		return nil
	}
	want := gatewayv1.GatewayClassStatus{Conditions: conditions(w.status.Conditions, o.Status.Conditions, w.generation, now)}
	for _, f := range w.status.Features[:min(len(w.status.Features), maxFeatures)] {
		want.SupportedFeatures = append(want.SupportedFeatures, gatewayv1.SupportedFeature{Name: gatewayv1.FeatureName(f)})
	}
	if sameConditions(want.Conditions, o.Status.Conditions) && slices.Equal(want.SupportedFeatures, o.Status.SupportedFeatures) {
		return nil
	}
	return want
}

// gatewayPatch is gatewayv1.GatewayStatus with all fields said: one that is left
// out of a patch would stay.
type gatewayPatch struct {
	Addresses            []gatewayv1.GatewayStatusAddress `json:"addresses"`
	Conditions           []metav1.Condition               `json:"conditions"`
	Listeners            []gatewayv1.ListenerStatus       `json:"listeners"`
	AttachedListenerSets *int32                           `json:"attachedListenerSets"`
}

func gatewayStatus(o *gatewayv1.Gateway, w wish, now metav1.Time) any {
	if w.status == nil {
		return partGateway(o, w.farewell, now)
	}
	want := gatewayPatch{
		Addresses: append([]gatewayv1.GatewayStatusAddress{}, w.addresses...), Conditions: conditions(w.status.Conditions, o.Status.Conditions, w.generation, now),
		Listeners: []gatewayv1.ListenerStatus{}, AttachedListenerSets: &w.status.AttachedListenerSets,
	}
	for _, l := range w.status.Listeners {
		name := gatewayv1.SectionName(l.Name)
		var have []metav1.Condition
		if i := slices.IndexFunc(o.Status.Listeners, func(h gatewayv1.ListenerStatus) bool { return h.Name == name }); i >= 0 {
			have = o.Status.Listeners[i].Conditions
		}
		want.Listeners = append(want.Listeners, gatewayv1.ListenerStatus{
			Name: name, SupportedKinds: kindsOf(l), AttachedRoutes: l.AttachedRoutes, Conditions: conditions(l.Conditions, have, w.generation, now),
		})
	}
	attached := int32(0)
	if o.Status.AttachedListenerSets != nil {
		attached = *o.Status.AttachedListenerSets
	}
	if sameConditions(want.Conditions, o.Status.Conditions) && attached == w.status.AttachedListenerSets &&
		slices.EqualFunc(want.Listeners, o.Status.Listeners, sameListener) && slices.EqualFunc(want.Addresses, o.Status.Addresses, equal) {
		return nil
	}
	return want
}

func partGateway(o *gatewayv1.Gateway, f *farewell, now metav1.Time) any {
	if !f.due(o.Status.Conditions, o.Generation) {
		return nil
	}
	none := gatewayPatch{Addresses: []gatewayv1.GatewayStatusAddress{}, Conditions: f.conditions(o.Generation, now), Listeners: []gatewayv1.ListenerStatus{}}
	if f.keep {
		none.Addresses = append(none.Addresses, o.Status.Addresses...)
	}
	return none
}

func kindsOf(l model.ListenerStatus) []gatewayv1.RouteGroupKind {
	group := gatewayv1.Group(gatewayv1.GroupName)
	kinds := []gatewayv1.RouteGroupKind{}
	for _, k := range l.Kinds {
		kinds = append(kinds, gatewayv1.RouteGroupKind{Group: &group, Kind: gatewayv1.Kind(k)})
	}
	return kinds
}

func sameListener(a, b gatewayv1.ListenerStatus) bool {
	return a.Name == b.Name && a.AttachedRoutes == b.AttachedRoutes && sameConditions(a.Conditions, b.Conditions) &&
		slices.EqualFunc(a.SupportedKinds, b.SupportedKinds, equal)
}

// listenerSetPatch is gatewayv1.ListenerSetStatus with all fields said.
type listenerSetPatch struct {
	Conditions []metav1.Condition              `json:"conditions"`
	Listeners  []gatewayv1.ListenerEntryStatus `json:"listeners"`
}

func listenerSetStatus(o *gatewayv1.ListenerSet, w wish, now metav1.Time) any {
	if w.status == nil {
		if f := w.farewell; f.due(o.Status.Conditions, o.Generation) {
			return listenerSetPatch{Conditions: f.conditions(o.Generation, now), Listeners: []gatewayv1.ListenerEntryStatus{}}
		}
		return nil
	}
	want := listenerSetPatch{
		Conditions: conditions(w.status.Conditions, o.Status.Conditions, w.generation, now),
		Listeners:  []gatewayv1.ListenerEntryStatus{},
	}
	for _, l := range w.status.Listeners {
		name := gatewayv1.SectionName(l.Name)
		var have []metav1.Condition
		if i := slices.IndexFunc(o.Status.Listeners, func(h gatewayv1.ListenerEntryStatus) bool { return h.Name == name }); i >= 0 {
			have = o.Status.Listeners[i].Conditions
		}
		want.Listeners = append(want.Listeners, gatewayv1.ListenerEntryStatus{
			Name: name, SupportedKinds: kindsOf(l), AttachedRoutes: l.AttachedRoutes, Conditions: conditions(l.Conditions, have, w.generation, now),
		})
	}
	same := func(a, b gatewayv1.ListenerEntryStatus) bool {
		return sameListener(gatewayv1.ListenerStatus(a), gatewayv1.ListenerStatus(b))
	}
	if sameConditions(want.Conditions, o.Status.Conditions) && slices.EqualFunc(want.Listeners, o.Status.Listeners, same) {
		return nil
	}
	return want
}

// parentsPatch is the part of a route's status that we write.
type parentsPatch struct {
	Parents []gatewayv1.RouteParentStatus `json:"parents"`
}

func routeStatus(refs []gatewayv1.ParentReference, have []gatewayv1.RouteParentStatus, w wish, now metav1.Time) any {
	var ours, others []gatewayv1.RouteParentStatus
	for _, p := range have {
		if p.ControllerName == Name {
			ours = append(ours, p)
		} else {
			others = append(others, p)
		}
	}
	var want []gatewayv1.RouteParentStatus
	if w.status != nil {
		for _, p := range w.status.Parents {
			if p.Ref < 0 || p.Ref >= len(refs) {
				return nil // about another state of the route: the next one comes
			}
			e := gatewayv1.RouteParentStatus{ParentRef: refs[p.Ref], ControllerName: Name}
			var was []metav1.Condition
			if i := slices.IndexFunc(ours, func(h gatewayv1.RouteParentStatus) bool { return equal(h.ParentRef, e.ParentRef) }); i >= 0 {
				was = ours[i].Conditions
			}
			e.Conditions = conditions(p.Conditions, was, w.generation, now)
			want = append(want, e)
		}
	}
	if slices.EqualFunc(want, ours, func(a, b gatewayv1.RouteParentStatus) bool {
		return equal(a.ParentRef, b.ParentRef) && sameConditions(a.Conditions, b.Conditions)
	}) {
		return nil
	}
	return parentsPatch{Parents: append(append([]gatewayv1.RouteParentStatus{}, others...), want...)}
}

// ancestorsPatch is the part of a policy's status that we write.
type ancestorsPatch struct {
	Ancestors []gatewayv1.PolicyAncestorStatus `json:"ancestors"`
}

// maxAncestors is how many the API takes.
const maxAncestors = 16

func policyStatus(have []gatewayv1.PolicyAncestorStatus, w wish, now metav1.Time) any {
	var ours, others []gatewayv1.PolicyAncestorStatus
	for _, a := range have {
		if a.ControllerName == Name {
			ours = append(ours, a)
		} else {
			others = append(others, a)
		}
	}
	var want []gatewayv1.PolicyAncestorStatus
	if w.status != nil {
		for _, p := range w.status.Parents[:min(len(w.status.Parents), maxAncestors-min(maxAncestors, len(others)))] {
			e := gatewayv1.PolicyAncestorStatus{AncestorRef: ancestor(p), ControllerName: Name}
			var was []metav1.Condition
			if i := slices.IndexFunc(ours, func(h gatewayv1.PolicyAncestorStatus) bool { return equal(h.AncestorRef, e.AncestorRef) }); i >= 0 {
				was = ours[i].Conditions
			}
			e.Conditions = conditions(p.Conditions, was, w.generation, now)
			want = append(want, e)
		}
	}
	if slices.EqualFunc(want, ours, func(a, b gatewayv1.PolicyAncestorStatus) bool {
		return equal(a.AncestorRef, b.AncestorRef) && sameConditions(a.Conditions, b.Conditions)
	}) {
		return nil
	}
	return ancestorsPatch{Ancestors: append(append([]gatewayv1.PolicyAncestorStatus{}, others...), want...)}
}

func ancestor(p model.ParentStatus) gatewayv1.ParentReference {
	group, kind, namespace := gatewayv1.Group(gatewayv1.GroupName), gatewayv1.Kind(p.Parent.Kind), gatewayv1.Namespace(p.Parent.Namespace)
	ref := gatewayv1.ParentReference{Group: &group, Kind: &kind, Namespace: &namespace, Name: gatewayv1.ObjectName(p.Parent.Name)}
	if p.Section != "" {
		section := gatewayv1.SectionName(p.Section)
		ref.SectionName = &section
	}
	return ref
}

func equal[T any](a, b T) bool { return reflect.DeepEqual(a, b) }
