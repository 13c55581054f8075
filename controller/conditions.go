package controller

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sluice.io/sluice/model"
)

// maxMessage is the longest message that the API takes.
const maxMessage = 32768

// conditions words conditions as the API has them. The time of a transition is
// kept while the status is the same.
func conditions(want []model.Condition, have []metav1.Condition, generation int64, now metav1.Time) []metav1.Condition {
	out := make([]metav1.Condition, 0, len(want))
	for _, w := range want {
		c := metav1.Condition{
			Type: w.Type, Status: metav1.ConditionFalse, Reason: w.Reason, Message: w.Message,
			ObservedGeneration: generation, LastTransitionTime: now,
		}
		if w.Status {
			c.Status = metav1.ConditionTrue
		}
		if len(c.Message) > maxMessage {
			c.Message = c.Message[:maxMessage]
		}
		if i := slices.IndexFunc(have, func(h metav1.Condition) bool { return h.Type == c.Type }); i >= 0 && have[i].Status == c.Status {
			c.LastTransitionTime = have[i].LastTransitionTime
		}
		out = append(out, c)
	}
	return out
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
