package status

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
)

// Farewell is what is said, once, of a Gateway or ListenerSet that Sluice served
// and serves no more. Statuses do not tell who wrote them, and whoever serves it
// now may have written already.
type Farewell struct {
	// Why says what became of it.
	Why string
	// Ours tells that Sluice served it, also when that was an earlier leader.
	Ours bool
	// Alone tells that nobody else can serve it.
	Alone bool
	// Keep has its addresses stay.
	Keep bool
	// said is what Sluice said last; nil when it is not known.
	said *said
}

// said is what was said of an object.
type said struct {
	conditions []model.Condition
	generation int64
}

// due tells whether an object's conditions are Sluice's, and to be taken back.
func (f *Farewell) due(live []metav1.Condition, generation int64) bool {
	i := slices.IndexFunc(live, func(c metav1.Condition) bool { return c.Type == Programmed })
	if f == nil || !f.Ours && f.said == nil || i < 0 || live[i].Status == metav1.ConditionUnknown {
		return false
	}
	return f.Alone || live[i].ObservedGeneration < generation || f.said != nil && slices.EqualFunc(f.said.conditions, live, func(a model.Condition, b metav1.Condition) bool {
		return a.Type == b.Type && a.Reason == b.Reason && a.Status == (b.Status == metav1.ConditionTrue) && b.ObservedGeneration == f.said.generation
	})
}

// conditions take back what was said: as if nobody had seen the object yet.
func (f *Farewell) conditions(generation int64, now metav1.Time) []metav1.Condition {
	unknown := func(kind string) metav1.Condition {
		return metav1.Condition{Type: kind, Status: metav1.ConditionUnknown, Reason: Pending, Message: f.Why, ObservedGeneration: generation, LastTransitionTime: now}
	}
	return []metav1.Condition{unknown(string(gatewayv1.GatewayConditionAccepted)), unknown(Programmed)}
}
