package resolve

import (
	"maps"
	"net/netip"
	"slices"

	"k8s.io/utils/ptr"

	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/source"
)

// workload is a Workload with its rank among those that declare the same place.
type workload struct {
	object.Seniority
	// place is what no two workloads may share: the path of the network
	// namespace or of the cgroup.
	place    string
	made     model.Workload
	problems []*finding.Finding
}

func parseWorkload(wl *v1alpha1.Workload, obj *source.Object) *workload {
	w := &workload{Seniority: object.SeniorityOf(wl)}
	w.made = model.Workload{
		Key:            model.WorkloadKey{Namespace: wl.Namespace, Name: wl.Name},
		ServiceAccount: wl.Spec.ServiceAccount,
		Labels:         wl.Labels,
		Netns:          ptr.Deref(wl.Spec.Netns, ""),
		Cgroup:         ptr.Deref(wl.Spec.Cgroup, ""),
		Origin:         obj.Origin,
	}
	if w.made.ServiceAccount == "" {
		w.made.ServiceAccount = "default"
	}
	for _, text := range wl.Spec.Addresses {
		a, err := netip.ParseAddr(string(text))
		if err != nil {
			w.problem(finding.InvalidAddress, "address %q is not an IP address: it is ignored", text)
			continue
		}
		w.made.Addresses = append(w.made.Addresses, a.Unmap())
	}
	switch {
	case (w.made.Netns == "") == (w.made.Cgroup == ""):
		w.problem(finding.Invalid, "exactly one of spec.netns and spec.cgroup must be set")
	case w.made.Netns != "":
		w.place = "netns " + w.made.Netns
	default:
		w.place = "cgroup " + w.made.Cgroup
	}
	return w
}

func (w *workload) problem(reason, format string, args ...any) {
	w.problems = append(w.problems, finding.New(reason, format, args...))
}

// settleWorkloads emits the workloads of the marked places. A network namespace
// or cgroup is one workload's: the oldest has it.
func (u *round) settleWorkloads() {
	for place := range u.places {
		tenant := u.tenant(place)
		for n := range u.tenants[place] {
			w := u.workloads[n]
			u.report.Add(n.Ref(object.KindWorkload))
			if place == "" || w != tenant {
				u.emitWorkload(n, nil)
				continue
			}
			u.emitWorkload(n, &w.made)
		}
	}
}

// tenant returns the workload that has a place.
func (r *Resolver) tenant(place string) *workload {
	var first *workload
	for n := range r.tenants[place] {
		if w := r.workloads[n]; first == nil || w.Compare(first.Seniority) < 0 {
			first = w
		}
	}
	return first
}

func (u *round) emitWorkload(n object.Name, w *model.Workload) {
	k := model.WorkloadKey{Namespace: n.Namespace, Name: n.Name}
	was := u.made.Workloads[k]
	switch {
	case w == nil && was != nil:
		u.delta.Workloads[k] = nil
	case w != nil && (was == nil || !sameWorkload(was, w)):
		u.delta.Workloads[k] = w
	case w != nil:
		// A place that was lost and won back within one update.
		delete(u.delta.Workloads, k)
	}
}

func sameWorkload(a, b *model.Workload) bool {
	return a.Key == b.Key && a.ServiceAccount == b.ServiceAccount && a.Netns == b.Netns && a.Cgroup == b.Cgroup &&
		a.Origin == b.Origin && maps.Equal(a.Labels, b.Labels) && slices.Equal(a.Addresses, b.Addresses)
}
