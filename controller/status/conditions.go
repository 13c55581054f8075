package status

import (
	"slices"
	"strings"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
)

// Controller is how Sluice calls itself in GatewayClasses and in statuses.
const Controller = "sluice.io/gateway-controller"

// Programmed is the condition that Gateways, their listeners and ListenerSets have,
// and Pending and AddressNotAssigned are reasons of it.
const (
	Programmed         = string(gatewayv1.GatewayConditionProgrammed)
	Pending            = string(gatewayv1.GatewayReasonPending)
	AddressNotAssigned = string(gatewayv1.GatewayReasonAddressNotAssigned)
)

// maxMessage is the longest message that the API takes, and maxConditions how many
// conditions in one list.
const (
	maxMessage    = 32768
	maxConditions = 8
)

// Conditions words conditions as the API has them, among those that others say. The
// time of a transition is kept while the status is the same.
func Conditions(want []model.Condition, have []metav1.Condition, generation int64, now metav1.Time) []metav1.Condition {
	out := make([]metav1.Condition, 0, len(want))
	for _, w := range want {
		c := metav1.Condition{
			Type: w.Type, Status: metav1.ConditionFalse, Reason: w.Reason, Message: w.Message,
			ObservedGeneration: generation, LastTransitionTime: now,
		}
		if w.Status {
			c.Status = metav1.ConditionTrue
		}
		c.Message = cut(c.Message)
		if i := ofType(have, c.Type); i >= 0 && have[i].Status == c.Status {
			c.LastTransitionTime = have[i].LastTransitionTime
		}
		out = append(out, c)
	}
	return among(have, out)
}

// theirs tells that a condition is not Sluice's to change: a type with a domain is an
// extension's, such as of a policy by which the object is affected.
func theirs(c metav1.Condition) bool { return strings.Contains(c.Type, "/") }

// among puts our conditions into a list: each where it is already, and new ones at its
// end. Of the others in it theirs stay, as far as there is room beside ours, and the
// rest is what we said before.
func among(have, ours []metav1.Condition) []metav1.Condition {
	all, room := make([]metav1.Condition, 0, len(have)+len(ours)), maxConditions-len(ours)
	for _, h := range have {
		switch i := ofType(ours, h.Type); {
		case i >= 0:
			all = append(all, ours[i])
		case theirs(h) && room > 0:
			all = append(all, h)
			room--
		}
	}
	for _, c := range ours {
		if ofType(all, c.Type) < 0 {
			all = append(all, c)
		}
	}
	return all
}

// ofType is where the condition of a type is; negative when there is none.
func ofType(list []metav1.Condition, kind string) int {
	return slices.IndexFunc(list, func(c metav1.Condition) bool { return c.Type == kind })
}

// cut shortens a message to what the API takes. Half a character would come back as
// another one, which is not what we wrote, and be written again.
func cut(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	end := maxMessage
	for end > 0 && !utf8.RuneStart(message[end]) {
		end--
	}
	return message[:end]
}

// sameConditions compares sets of conditions.
func sameConditions(a, b []metav1.Condition) bool {
	if len(a) != len(b) {
		return false
	}
	for _, x := range a {
		i := ofType(b, x.Type)
		if i < 0 {
			return false
		}
		y := b[i]
		if x.Status != y.Status || x.Reason != y.Reason || x.Message != y.Message || x.ObservedGeneration != y.ObservedGeneration {
			return false
		}
	}
	return true
}
