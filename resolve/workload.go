package resolve

import (
	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/resolve/workload"
)

// settleWorkloads emits the workloads of the places whose claimants changed. A
// network namespace or cgroup is one workload's.
func (u *round) settleWorkloads() {
	for place := range u.places.Changed() {
		for i, c := range u.places.Claimants(place) {
			u.report.Add(c.Name.Ref(object.KindWorkload))
			if i > 0 {
				u.emitWorkload(c.Name, nil)
			} else {
				u.emitWorkload(c.Name, &u.workloads[c.Name].Made)
			}
		}
	}
}

func (u *round) emitWorkload(n object.Name, w *model.Workload) {
	k := model.WorkloadKey{Namespace: n.Namespace, Name: n.Name}
	was := u.made.Workloads[k]
	switch {
	case w == nil && was != nil:
		u.delta.Workloads[k] = nil
	case w != nil && (was == nil || !workload.Same(was, w)):
		u.delta.Workloads[k] = w
	case w != nil:
		// A place that was lost and won back within one update.
		delete(u.delta.Workloads, k)
	}
}
