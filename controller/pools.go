package controller

import (
	"encoding/json"
	"net/netip"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sluice.io/sluice/controller/object"
	"sluice.io/sluice/controller/pool"
	"sluice.io/sluice/controller/status"
	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
)

func (t *term) takePool(ref model.ObjectRef, obj *v1alpha1.AddressPool) {
	t.all = t.pools.Change(ref.Name, obj) || t.all
	if obj == nil {
		t.objects.Leave(ref)
		t.objects.See(ref, nil)
		return
	}
	t.recallAnswers(obj)
	t.objects.See(ref, &object.State{Status: string(poolStatus(obj.Status))})
}

// recallAnswers takes in which nodes an earlier leader had answer for addresses.
func (t *term) recallAnswers(obj *v1alpha1.AddressPool) {
	for _, a := range obj.Status.Assignments {
		addr, err := netip.ParseAddr(string(a.Address))
		if _, known := t.answers[addr]; err == nil && !known {
			t.answers[addr] = a
		}
	}
}

// reportPools has the statuses of pools written.
func (t *term) reportPools() {
	now, answers := metav1.Now(), map[netip.Addr]v1alpha1.AddressAssignment{}
	for _, s := range t.pools.States() {
		ref, st := model.ObjectRef{Kind: kindAddressPool, Name: s.Pool.Name}, t.statusOfPool(s, now)
		for i, a := range s.Assigned {
			answers[a.Addr] = st.Assignments[i]
		}
		t.objects.Set(ref, &object.Object{Resource: resources[kindAddressPool], Status: poolStatus(st)})
		t.c.metrics.pool.WithLabelValues(s.Pool.Name).Set(float64(len(s.Assigned)))
	}
	t.answers = answers
}

// statusOfPool is what a pool's status should be: with the node that answers for
// each address.
func (t *term) statusOfPool(s pool.State, now metav1.Time) v1alpha1.AddressPoolStatus {
	st := v1alpha1.AddressPoolStatus{Assigned: int32(len(s.Assigned))}
	for _, a := range s.Assigned {
		st.Assignments = append(st.Assignments, v1alpha1.AddressAssignment{
			Address: v1alpha1.IPAddress(a.Addr.String()), Node: t.answerer(a.Addr, a.Gateway),
			Gateway: v1alpha1.GatewayReference{Namespace: a.Gateway.Namespace, Name: a.Gateway.Name},
		})
	}
	st.Conditions = status.Conditions(s.Conditions, s.Pool.Status.Conditions, s.Pool.Generation, now)
	return st
}

// poolStatus is a status as it is compared and written.
func poolStatus(st v1alpha1.AddressPoolStatus) json.RawMessage {
	text, err := json.Marshal(struct {
		Assigned    int32                        `json:"assigned"`
		Assignments []v1alpha1.AddressAssignment `json:"assignments"`
		Conditions  []metav1.Condition           `json:"conditions"`
	}{st.Assigned, append([]v1alpha1.AddressAssignment{}, st.Assignments...), append([]metav1.Condition{}, st.Conditions...)})
	if err != nil {
		return nil // strings and numbers: it cannot be
	}
	return text
}
