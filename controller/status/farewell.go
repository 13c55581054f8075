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
	return f.Alone || live[i].ObservedGeneration < generation || f.said.stands(live)
}

// stands tells that conditions are what Sluice said, and nobody else wrote, but such
// as are not ours to change.
func (s *said) stands(live []metav1.Condition) bool {
	if s == nil {
		return false
	}
	live = slices.DeleteFunc(slices.Clone(live), theirs)
	return len(live) == len(s.conditions) && !slices.ContainsFunc(s.conditions, func(c model.Condition) bool {
		i := ofType(live, c.Type)
		return i < 0 || live[i].Reason != c.Reason || (live[i].Status == metav1.ConditionTrue) != c.Status || live[i].ObservedGeneration != s.generation
	})
}

// conditions take back what was said: as if nobody of ours had seen the object yet.
func (f *Farewell) conditions(have []metav1.Condition, generation int64, now metav1.Time) []metav1.Condition {
	unknown := func(kind string) metav1.Condition {
		return metav1.Condition{Type: kind, Status: metav1.ConditionUnknown, Reason: Pending, Message: f.Why, ObservedGeneration: generation, LastTransitionTime: now}
	}
	return among(have, []metav1.Condition{unknown(string(gatewayv1.GatewayConditionAccepted)), unknown(Programmed)})
}

// saidByOthers are the listeners of which others say something, and that alone.
func saidByOthers(have []gatewayv1.ListenerStatus) []gatewayv1.ListenerStatus {
	left := []gatewayv1.ListenerStatus{}
	for _, l := range have {
		if said := among(l.Conditions, nil); len(said) > 0 {
			left = append(left, gatewayv1.ListenerStatus{Name: l.Name, Conditions: said})
		}
	}
	return left
}
