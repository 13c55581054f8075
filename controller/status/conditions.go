package status

import (
	"slices"
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

// maxMessage is the longest message that the API takes.
const maxMessage = 32768

// Conditions words conditions as the API has them. The time of a transition is
// kept while the status is the same.
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
		if i := slices.IndexFunc(have, func(h metav1.Condition) bool { return h.Type == c.Type }); i >= 0 && have[i].Status == c.Status {
			c.LastTransitionTime = have[i].LastTransitionTime
		}
		out = append(out, c)
	}
	return out
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
		i := slices.IndexFunc(b, func(y metav1.Condition) bool { return y.Type == x.Type })
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
