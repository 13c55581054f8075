package status

import (
	"reflect"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// Wish is the status that an object should have.
type Wish struct {
	// Status is nil when Sluice has nothing to say of the object.
	Status *model.Status
	// Generation is that of the object which the status is about.
	Generation int64
	// Addresses are a Gateway's.
	Addresses []gatewayv1.GatewayStatusAddress
	// Copies are those that agents serve listeners with, by the listeners' names.
	Copies map[string][]model.ObjectRef
	// Farewell goes with no status, for what was served before.
	Farewell *Farewell
}

// statusPatch makes the part of an object's status that is Sluice's, nil when
// the object has it already. What others wrote stays: their entries, and among our
// conditions those whose type has a domain.
func statusPatch(live source.KubeObject, w Wish, now metav1.Time) any {
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

func classStatus(o *gatewayv1.GatewayClass, w Wish, now metav1.Time) any {
	if w.Status == nil {
		return nil
	}
	want := gatewayv1.GatewayClassStatus{Conditions: Conditions(w.Status.Conditions, o.Status.Conditions, w.Generation, now)}
	for _, f := range w.Status.Features[:min(len(w.Status.Features), maxFeatures)] {
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

func gatewayStatus(o *gatewayv1.Gateway, w Wish, now metav1.Time) any {
	if w.Status == nil {
		return partGateway(o, w.Farewell, now)
	}
	want := gatewayPatch{
		Addresses: append([]gatewayv1.GatewayStatusAddress{}, w.Addresses...), Conditions: Conditions(w.Status.Conditions, o.Status.Conditions, w.Generation, now),
		Listeners: listenersOf(w, o.Status.Listeners, now), AttachedListenerSets: &w.Status.AttachedListenerSets,
	}
	attached := int32(0)
	if o.Status.AttachedListenerSets != nil {
		attached = *o.Status.AttachedListenerSets
	}
	if sameConditions(want.Conditions, o.Status.Conditions) && attached == w.Status.AttachedListenerSets &&
		slices.EqualFunc(want.Listeners, o.Status.Listeners, sameListener) && slices.EqualFunc(want.Addresses, o.Status.Addresses, equal) {
		return nil
	}
	return want
}

func partGateway(o *gatewayv1.Gateway, f *Farewell, now metav1.Time) any {
	if !f.due(o.Status.Conditions, o.Generation) {
		return nil
	}
	none := gatewayPatch{
		Addresses: []gatewayv1.GatewayStatusAddress{}, Conditions: f.conditions(o.Status.Conditions, o.Generation, now), Listeners: saidByOthers(o.Status.Listeners),
	}
	if f.Keep {
		none.Addresses = append(none.Addresses, o.Status.Addresses...)
	}
	return none
}

// listenersOf are the statuses of a Gateway's listeners, or of a ListenerSet's.
func listenersOf(w Wish, have []gatewayv1.ListenerStatus, now metav1.Time) []gatewayv1.ListenerStatus {
	all := []gatewayv1.ListenerStatus{}
	for _, l := range w.Status.Listeners {
		name := gatewayv1.SectionName(l.Name)
		var was []metav1.Condition
		if i := slices.IndexFunc(have, func(h gatewayv1.ListenerStatus) bool { return h.Name == name }); i >= 0 {
			was = have[i].Conditions
		}
		all = append(all, gatewayv1.ListenerStatus{
			Name: name, SupportedKinds: kindsOf(l), AttachedRoutes: l.AttachedRoutes, Conditions: Conditions(l.Conditions, was, w.Generation, now),
		})
	}
	return all
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

func listenerSetStatus(o *gatewayv1.ListenerSet, w Wish, now metav1.Time) any {
	have := make([]gatewayv1.ListenerStatus, len(o.Status.Listeners))
	for i, l := range o.Status.Listeners {
		have[i] = gatewayv1.ListenerStatus(l)
	}
	if w.Status == nil {
		if f := w.Farewell; f.due(o.Status.Conditions, o.Generation) {
			return listenerSetPatch{Conditions: f.conditions(o.Status.Conditions, o.Generation, now), Listeners: entriesOf(saidByOthers(have))}
		}
		return nil
	}
	listeners := listenersOf(w, have, now)
	conditions := Conditions(w.Status.Conditions, o.Status.Conditions, w.Generation, now)
	if sameConditions(conditions, o.Status.Conditions) && slices.EqualFunc(listeners, have, sameListener) {
		return nil
	}
	return listenerSetPatch{Conditions: conditions, Listeners: entriesOf(listeners)}
}

// entriesOf are statuses of listeners as a ListenerSet has them.
func entriesOf(listeners []gatewayv1.ListenerStatus) []gatewayv1.ListenerEntryStatus {
	entries := []gatewayv1.ListenerEntryStatus{}
	for _, l := range listeners {
		entries = append(entries, gatewayv1.ListenerEntryStatus(l))
	}
	return entries
}

// parentsPatch is the part of a route's status that we write.
type parentsPatch struct {
	Parents []gatewayv1.RouteParentStatus `json:"parents"`
}

func routeStatus(refs []gatewayv1.ParentReference, have []gatewayv1.RouteParentStatus, w Wish, now metav1.Time) any {
	ours, all := []entry{}, []gatewayv1.RouteParentStatus{}
	for _, p := range have {
		if p.ControllerName == Controller {
			ours = append(ours, entry{p.ParentRef, p.Conditions})
		} else {
			all = append(all, p)
		}
	}
	want, ok := renew(ours, w, now, -1, func(p model.ParentStatus) (gatewayv1.ParentReference, bool) {
		if p.Ref < 0 || p.Ref >= len(refs) {
			return gatewayv1.ParentReference{}, false // about another state of the route: the next one comes
		}
		return refs[p.Ref], true
	})
	if !ok {
		return nil
	}
	for _, e := range want {
		all = append(all, gatewayv1.RouteParentStatus{ParentRef: e.ref, ControllerName: Controller, Conditions: e.conditions})
	}
	return parentsPatch{Parents: all}
}

// ancestorsPatch is the part of a policy's status that we write.
type ancestorsPatch struct {
	Ancestors []gatewayv1.PolicyAncestorStatus `json:"ancestors"`
}

// maxAncestors is how many the API takes.
const maxAncestors = 16

func policyStatus(have []gatewayv1.PolicyAncestorStatus, w Wish, now metav1.Time) any {
	ours, all := []entry{}, []gatewayv1.PolicyAncestorStatus{}
	for _, a := range have {
		if a.ControllerName == Controller {
			ours = append(ours, entry{a.AncestorRef, a.Conditions})
		} else {
			all = append(all, a)
		}
	}
	want, ok := renew(ours, w, now, max(0, maxAncestors-len(all)), func(p model.ParentStatus) (gatewayv1.ParentReference, bool) { return ancestor(p), true })
	if !ok {
		return nil
	}
	for _, e := range want {
		all = append(all, gatewayv1.PolicyAncestorStatus{AncestorRef: e.ref, ControllerName: Controller, Conditions: e.conditions})
	}
	return ancestorsPatch{Ancestors: all}
}

// entry is what one controller says of an object for one parent of it, or ancestor,
// in a list that controllers share.
type entry struct {
	ref        gatewayv1.ParentReference
	conditions []metav1.Condition
}

// renew makes our entries, so many at most (all when that is negative), of a list
// that has others' as well. It is not ok when they are there already, or when what
// they are about is not.
func renew(have []entry, w Wish, now metav1.Time, most int, refOf func(model.ParentStatus) (gatewayv1.ParentReference, bool)) ([]entry, bool) {
	want := []entry{}
	for _, p := range w.parents() {
		ref, ok := refOf(p)
		if !ok {
			return nil, false
		}
		if len(want) == most {
			break
		}
		var was []metav1.Condition
		if i := slices.IndexFunc(have, func(h entry) bool { return equal(h.ref, ref) }); i >= 0 {
			was = have[i].conditions
		}
		want = append(want, entry{ref, Conditions(p.Conditions, was, w.Generation, now)})
	}
	same := slices.EqualFunc(want, have, func(a, b entry) bool { return equal(a.ref, b.ref) && sameConditions(a.conditions, b.conditions) })
	return want, !same
}

func (w Wish) parents() []model.ParentStatus {
	if w.Status == nil {
		return nil
	}
	return w.Status.Parents
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
