package controller

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
)

// farewell is what is said, once, of a Gateway or ListenerSet that Sluice served
// and serves no more. Statuses do not tell who wrote them, and whoever serves it
// now may have written already.
type farewell struct {
	why string
	// ours tells that Sluice served it, also when that was an earlier leader.
	ours bool
	// alone tells that nobody else can serve it.
	alone bool
	// keep has its addresses stay.
	keep bool
	// said is what Sluice said last; nil when it is not known.
	said *said
}

// said is what was said of an object.
type said struct {
	conditions []model.Condition
	generation int64
}

// due tells whether an object's conditions are Sluice's, and to be taken back.
func (f *farewell) due(live []metav1.Condition, generation int64) bool {
	i := slices.IndexFunc(live, func(c metav1.Condition) bool { return c.Type == programmed })
	if f == nil || !f.ours && f.said == nil || i < 0 || live[i].Status == metav1.ConditionUnknown {
		return false
	}
	return f.alone || live[i].ObservedGeneration < generation || f.said != nil && slices.EqualFunc(f.said.conditions, live, func(a model.Condition, b metav1.Condition) bool {
		return a.Type == b.Type && a.Reason == b.Reason && a.Status == (b.Status == metav1.ConditionTrue) && b.ObservedGeneration == f.said.generation
	})
}

// conditions take back what was said: as if nobody had seen the object yet.
func (f *farewell) conditions(generation int64, now metav1.Time) []metav1.Condition {
	unknown := func(kind string) metav1.Condition {
		return metav1.Condition{Type: kind, Status: metav1.ConditionUnknown, Reason: pending, Message: f.why, ObservedGeneration: generation, LastTransitionTime: now}
	}
	return []metav1.Condition{unknown(string(gatewayv1.GatewayConditionAccepted)), unknown(programmed)}
}

// parting has it said of a Gateway that it is no longer served, unless it never was.
func (t *term) parting(k model.GatewayKey, g *gatewayv1.Gateway, was *front) {
	if was == nil && len(t.servicesOf[k]) == 0 {
		return
	}
	f := &farewell{ours: true, why: "the Gateway is gone", alone: true}
	if g != nil {
		f.why = fmt.Sprintf("GatewayClass %s is not Sluice's", g.Spec.GatewayClassName)
		f.alone = t.classes[string(g.Spec.GatewayClassName)] == nil
		if f.alone {
			f.why, f.keep = fmt.Sprintf("there is no GatewayClass %s: nothing is served; what was made for the Gateway stays", g.Spec.GatewayClassName), true
		}
	}
	t.partings[k] = f
	t.due[k] = true
}
