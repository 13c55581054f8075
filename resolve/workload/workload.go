// Package workload reads Workloads: which pods there are on this node.
//
// It owns what makes one usable. It must not know other workloads, nor what is in
// the place that one names.
package workload

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

// Workload is a Workload as it was given.
type Workload struct {
	object.Seniority
	// Place is what no two workloads may share: the path of the network
	// namespace or of the cgroup.
	Place    string // empty when nothing says which
	Made     model.Workload
	Problems []*finding.Finding
}

// Read reads a Workload.
func Read(wl *v1alpha1.Workload, obj *source.Object) *Workload {
	w := &Workload{Seniority: object.SeniorityOf(wl)}
	w.Made = model.Workload{
		Key:            model.WorkloadKey{Namespace: wl.Namespace, Name: wl.Name},
		ServiceAccount: wl.Spec.ServiceAccount,
		Labels:         wl.Labels,
		Netns:          ptr.Deref(wl.Spec.Netns, ""),
		Cgroup:         ptr.Deref(wl.Spec.Cgroup, ""),
		Origin:         obj.Origin,
	}
	if w.Made.ServiceAccount == "" {
		w.Made.ServiceAccount = "default"
	}
	for _, text := range wl.Spec.Addresses {
		a, err := netip.ParseAddr(string(text))
		if err != nil {
			w.problem(finding.InvalidAddress, "address %q is not an IP address: it is ignored", text)
			continue
		}
		w.Made.Addresses = append(w.Made.Addresses, a.Unmap())
	}
	switch {
	case (w.Made.Netns == "") == (w.Made.Cgroup == ""):
		w.problem(finding.Invalid, "exactly one of spec.netns and spec.cgroup must be set")
	case w.Made.Netns != "":
		w.Place = "netns " + w.Made.Netns
	default:
		w.Place = "cgroup " + w.Made.Cgroup
	}
	return w
}

func (w *Workload) problem(reason, format string, args ...any) {
	w.Problems = append(w.Problems, finding.New(reason, format, args...))
}

// Same reports whether two workloads are the same in all respects.
func Same(a, b *model.Workload) bool {
	return a.Key == b.Key && a.ServiceAccount == b.ServiceAccount && a.Netns == b.Netns && a.Cgroup == b.Cgroup &&
		a.Origin == b.Origin && maps.Equal(a.Labels, b.Labels) && slices.Equal(a.Addresses, b.Addresses)
}
