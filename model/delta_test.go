package model

import "testing"

func TestDeltasAddUp(t *testing.T) {
	key := WorkloadKey{Namespace: "shop", Name: "web"}
	first, second := &Workload{Key: key}, &Workload{Key: key}
	with := func(w *Workload) *Delta {
		d := NewDelta()
		d.Workloads[key] = w
		return d
	}

	m := NewMesh()
	m.Apply(with(first))
	m.Apply(with(nil))
	if len(m.Workloads) != 0 {
		t.Fatalf("a nil value did not remove: %v", m.Workloads)
	}
	m.Apply(with(second))

	d := with(first)
	d.Merge(with(nil))
	if w, ok := d.Workloads[key]; !ok || w != nil {
		t.Errorf("the later delta must win, got %v %t", w, ok)
	}
	all := m.All()
	all.Workloads[key] = nil
	if m.Workloads[key] != second {
		t.Error("All shares its maps with the mesh")
	}
}
