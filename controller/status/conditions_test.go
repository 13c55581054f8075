package status

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// affected is what a policy's controller says of what the policy affects.
var affected = metav1.Condition{
	Type: "limits.example.com/LimitPolicyAffected", Status: metav1.ConditionTrue, Reason: "Affected", Message: "by shop/limit",
	ObservedGeneration: 1, LastTransitionTime: metav1.NewTime(time.Unix(1_800_000_000, 0)),
}

// saidHere are the conditions that Sluice says of everything.
var saidHere = []model.Condition{{Type: "Accepted", Status: true, Reason: "Accepted"}, {Type: Programmed, Status: true, Reason: "Programmed"}}

func wishOf(generation int64) Wish {
	return Wish{Generation: generation, Status: &model.Status{
		Conditions: saidHere, Listeners: []model.ListenerStatus{{Name: "http", Conditions: saidHere}},
		Parents: []model.ParentStatus{{Parent: model.ObjectRef{Kind: "Gateway", Namespace: "shop", Name: "web"}, Conditions: saidHere}},
	}}
}

// put gives an object the status of a patch.
func put(t *testing.T, o source.KubeObject, patch any) {
	t.Helper()
	if patch == nil {
		t.Fatalf("%T: nothing is written", o)
	}
	text, err := json.Marshal(patch)
	if err != nil {
		t.Fatal(err)
	}
	var st map[string]any
	if err := json.Unmarshal(text, &st); err != nil {
		t.Fatal(err)
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		t.Fatal(err)
	}
	content["status"] = st
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, o); err != nil {
		t.Fatal(err)
	}
}

// conditionsIn are the lists of conditions that an object has.
func conditionsIn(o source.KubeObject) (lists []*[]metav1.Condition) {
	switch o := o.(type) {
	case *gatewayv1.GatewayClass:
		return []*[]metav1.Condition{&o.Status.Conditions}
	case *gatewayv1.Gateway:
		lists = append(lists, &o.Status.Conditions)
		for i := range o.Status.Listeners {
			lists = append(lists, &o.Status.Listeners[i].Conditions)
		}
	case *gatewayv1.ListenerSet:
		lists = append(lists, &o.Status.Conditions)
		for i := range o.Status.Listeners {
			lists = append(lists, &o.Status.Listeners[i].Conditions)
		}
	case *gatewayv1.HTTPRoute:
		for i := range o.Status.Parents {
			lists = append(lists, &o.Status.Parents[i].Conditions)
		}
	case *gatewayv1.BackendTLSPolicy:
		for i := range o.Status.Ancestors {
			lists = append(lists, &o.Status.Ancestors[i].Conditions)
		}
	}
	return lists
}

// listed are the types of conditions, in order.
func listed(conditions []metav1.Condition) string {
	text := ""
	for _, c := range conditions {
		text += c.Type + " "
	}
	return text
}

// TestConditionsOfOthersStay: they are no reason to write, and stay where they are when
// something is written; what we said before and say no more goes.
func TestConditionsOfOthersStay(t *testing.T) {
	route := &gatewayv1.HTTPRoute{Spec: gatewayv1.HTTPRouteSpec{CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: "web"}}}}}
	for _, o := range []source.KubeObject{&gatewayv1.GatewayClass{}, &gatewayv1.Gateway{}, &gatewayv1.ListenerSet{}, route, &gatewayv1.BackendTLSPolicy{}} {
		put(t, o, statusPatch(o, wishOf(1), metav1.Now()))
		lists := conditionsIn(o)
		if len(lists) == 0 {
			t.Errorf("%T has no conditions", o)
		}
		for _, l := range lists {
			*l = append([]metav1.Condition{affected}, *l...)
		}
		if patch := statusPatch(o, wishOf(1), metav1.Now()); patch != nil {
			t.Errorf("%T: what others say makes us write %+v", o, patch)
		}
		for _, l := range lists {
			*l = append(*l, metav1.Condition{Type: "Detached", Status: metav1.ConditionFalse, Reason: "Attached"})
		}
		put(t, o, statusPatch(o, wishOf(2), metav1.Now()))
		for _, l := range conditionsIn(o) {
			if got := listed(*l); got != affected.Type+" Accepted Programmed " {
				t.Errorf("%T has conditions %s", o, got)
			}
			c := (*l)[0]
			if c.Message != affected.Message || c.ObservedGeneration != 1 || !c.LastTransitionTime.Equal(&affected.LastTransitionTime) || (*l)[1].ObservedGeneration != 2 {
				t.Errorf("%T has conditions %+v", o, *l)
			}
		}
	}
}

// TestWhatIsTakenBackIsOurs: others' conditions outlast it, and do not make it look as
// if somebody else served the Gateway.
func TestWhatIsTakenBackIsOurs(t *testing.T) {
	for _, o := range []source.KubeObject{&gatewayv1.Gateway{}, &gatewayv1.ListenerSet{}} {
		o.SetGeneration(1)
		put(t, o, statusPatch(o, wishOf(1), metav1.Now()))
		for _, l := range conditionsIn(o) {
			*l = append(*l, affected)
		}
		elses := Wish{Generation: 1, Farewell: &Farewell{said: &said{saidHere[:1], 1}}}
		if patch := statusPatch(o, elses, metav1.Now()); patch != nil {
			t.Errorf("%T: what somebody else said is taken back: %+v", o, patch)
		}
		put(t, o, statusPatch(o, Wish{Generation: 1, Farewell: &Farewell{said: &said{saidHere, 1}}}, metav1.Now()))
		lists := conditionsIn(o)
		if len(lists) != 2 || listed(*lists[0]) != "Accepted Programmed "+affected.Type+" " || (*lists[0])[1].Status != metav1.ConditionUnknown || listed(*lists[1]) != affected.Type+" " {
			t.Errorf("%T is left with %+v", o, lists)
		}
	}
}

// TestOursHaveRoom: the API takes so many, and no status at all would be the worst.
func TestOursHaveRoom(t *testing.T) {
	var have []metav1.Condition
	for i := range maxConditions {
		c := affected
		c.Type = fmt.Sprintf("example.com/Theirs%d", i)
		have = append(have, c)
	}
	if got := listed(Conditions(saidHere, have, 1, metav1.Now())); got != listed(have[:maxConditions-2])+"Accepted Programmed " {
		t.Errorf("there are %s", got)
	}
	if got := Conditions(saidHere, have[:3], 1, metav1.Now()); len(got) != 5 || !sameConditions(got, Conditions(saidHere, got, 1, metav1.Now())) {
		t.Errorf("there are %s", listed(got))
	}
}
