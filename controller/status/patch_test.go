package status

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source/kube"
)

// TestPoliciesHaveRoomForSoMany: others' entries go first, and are never dropped.
func TestPoliciesHaveRoomForSoMany(t *testing.T) {
	said := &model.Status{}
	for i := range 20 {
		said.Parents = append(said.Parents, model.ParentStatus{
			Parent: model.ObjectRef{Kind: "Gateway", Namespace: "shop", Name: fmt.Sprint("gw", i)}, Conditions: []model.Condition{{Type: "Accepted", Status: true, Reason: "Accepted"}},
		})
	}
	for others, want := range map[int]int{0: 16, 10: 6, 15: 1, 16: 0} {
		var have []gatewayv1.PolicyAncestorStatus
		for i := range others {
			have = append(have, gatewayv1.PolicyAncestorStatus{ControllerName: "example.com/other", AncestorRef: gatewayv1.ParentReference{Name: gatewayv1.ObjectName(fmt.Sprint(i))}})
		}
		patch, ok := policyStatus(have, Wish{Status: said, Generation: 3}, metav1.Now()).(ancestorsPatch)
		if want == 0 {
			if ok {
				t.Errorf("with %d of others, %+v is written", others, patch)
			}
			continue
		}
		if len(patch.Ancestors) != others+want {
			t.Fatalf("with %d of others there are %d", others, len(patch.Ancestors))
		}
		for i, a := range patch.Ancestors {
			if theirs := i < others; theirs != (a.ControllerName == "example.com/other") || !theirs && a.Conditions[0].ObservedGeneration != 3 {
				t.Errorf("with %d of others, entry %d is %+v", others, i, a)
			}
		}
		if again := policyStatus(patch.Ancestors, Wish{Status: said, Generation: 3}, metav1.Now()); again != nil {
			t.Errorf("with %d of others, what is there is written again: %+v", others, again)
		}
		gone, _ := policyStatus(patch.Ancestors, Wish{}, metav1.Now()).(ancestorsPatch)
		if len(gone.Ancestors) != others || gone.Ancestors == nil {
			t.Errorf("with %d of others, nothing to say leaves %+v", others, gone)
		}
	}
}

// TestEntriesOfAnotherStateWait: a parent that the route as it is does not name.
func TestEntriesOfAnotherStateWait(t *testing.T) {
	w := Wish{Status: &model.Status{Parents: []model.ParentStatus{{Ref: 1}}}}
	if patch := routeStatus([]gatewayv1.ParentReference{{Name: "a"}}, nil, w, metav1.Now()); patch != nil {
		t.Errorf("it is written: %+v", patch)
	}
}

// TestTroubleIsTold of Gateways that are not programmed for want of something, and
// changes no wish.
func TestTroubleIsTold(t *testing.T) {
	with := func(status bool, reason string) Wish {
		return Wish{Status: &model.Status{Conditions: []model.Condition{{Type: Programmed, Status: status, Reason: reason, Message: "it is so"}}}}
	}
	for _, c := range []struct {
		wish Wish
		want string
	}{
		{with(false, Pending), "it is so; exceeded quota"}, {with(false, AddressNotAssigned), "it is so; exceeded quota"},
		{with(false, "AddressNotUsable"), "it is so"}, {with(true, "Programmed"), "it is so"},
	} {
		if got := c.wish.troubled(map[model.ObjectRef]string{{Kind: "Service", Name: "a"}: "exceeded quota"}).Status.Conditions[0]; got.Message != c.want || got.Status != c.wish.Status.Conditions[0].Status {
			t.Errorf("%+v becomes %+v", c.wish.Status.Conditions[0], got)
		}
		if c.wish.Status.Conditions[0].Message != "it is so" {
			t.Errorf("the wish was changed: %+v", c.wish.Status.Conditions[0])
		}
	}
	if got := (Wish{}).troubled(map[model.ObjectRef]string{{Kind: "Service", Name: "a"}: "exceeded quota"}); got.Status != nil {
		t.Errorf("nothing to say becomes %+v", got)
	}
}

// TestTroubleIsToldOfListeners that wait, and of those whose copies it is with.
func TestTroubleIsToldOfListeners(t *testing.T) {
	listener := func(name string, status bool, reason string) model.ListenerStatus {
		return model.ListenerStatus{Name: name, Conditions: []model.Condition{{Type: "Accepted", Status: true}, {Type: Programmed, Status: status, Reason: reason}}}
	}
	cert, other := model.ObjectRef{Kind: kube.KindSecretCopy, Name: "cert"}, model.ObjectRef{Kind: kube.KindSecretCopy, Name: "other"}
	w := Wish{
		Status: &model.Status{
			Conditions: []model.Condition{{Type: Programmed, Status: true, Reason: "Programmed", Message: "listeners are served"}},
			Listeners:  []model.ListenerStatus{listener("served", true, "Programmed"), listener("waits", false, Pending), listener("wrong", false, "Invalid"), listener("both", false, Pending)},
		},
		Copies: map[string][]model.ObjectRef{"served": {cert}, "wrong": {cert}, "both": {other, cert}},
	}
	got := w.troubled(map[model.ObjectRef]string{{Kind: "Service", Name: "a"}: "no Service", {Kind: "EndpointSlice", Name: "a"}: "no slice", cert: "no copy"})
	if text := got.Status.Conditions[0].Message; text != "listeners are served" {
		t.Errorf("the Gateway is served and says %q", text)
	}
	for i, want := range []string{"no copy", "no slice; no Service", "", "no slice; no Service; no copy"} {
		if l := got.Status.Listeners[i]; l.Conditions[1].Message != want || l.Conditions[0].Message != "" {
			t.Errorf("listener %s says %q, want %q", l.Name, l.Conditions[1].Message, want)
		}
		if text := w.Status.Listeners[i].Conditions[1].Message; text != "" {
			t.Errorf("the wish was changed: %q", text)
		}
	}
}
