package model

import "testing"

func TestDeltasAddUpAndNowTellsTheLatest(t *testing.T) {
	key := WorkloadKey{Namespace: "shop", Name: "web"}
	other := WorkloadKey{Namespace: "shop", Name: "cart"}
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

	due := with(nil)
	due.Workloads[other] = nil
	now := m.Now(due)
	if now.Workloads[key] != second {
		t.Errorf("what has come back is told as gone")
	}
	if w, ok := now.Workloads[other]; !ok || w != nil {
		t.Errorf("what is gone must be told as gone, got %v %t", w, ok)
	}

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
