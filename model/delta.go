package model

import "maps"

// Delta is what changed in the mesh, keyed; a nil value means that the object
// is gone. Sinks must do work in proportion to it.
type Delta struct {
	Frontends map[FrontendKey]*Frontend `json:"frontends,omitempty"`
	Backends  map[BackendKey]*Backend   `json:"backends,omitempty"`
	Endpoints map[BackendKey]*Endpoints `json:"endpoints,omitempty"`
	Workloads map[WorkloadKey]*Workload `json:"workloads,omitempty"`
}

// NewDelta returns a delta without changes.
func NewDelta() *Delta {
	return &Delta{
		Frontends: map[FrontendKey]*Frontend{},
		Backends:  map[BackendKey]*Backend{},
		Endpoints: map[BackendKey]*Endpoints{},
		Workloads: map[WorkloadKey]*Workload{},
	}
}

// Empty reports whether nothing changed.
func (d *Delta) Empty() bool {
	return len(d.Frontends)+len(d.Backends)+len(d.Endpoints)+len(d.Workloads) == 0
}

// Merge adds a later delta to this one.
func (d *Delta) Merge(later *Delta) {
	maps.Copy(d.Frontends, later.Frontends)
	maps.Copy(d.Backends, later.Backends)
	maps.Copy(d.Endpoints, later.Endpoints)
	maps.Copy(d.Workloads, later.Workloads)
}

// Mesh is the whole model: what all deltas so far add up to. It is not safe for
// concurrent use.
type Mesh struct {
	Frontends map[FrontendKey]*Frontend
	Backends  map[BackendKey]*Backend
	Endpoints map[BackendKey]*Endpoints
	Workloads map[WorkloadKey]*Workload
}

// NewMesh returns an empty mesh.
func NewMesh() *Mesh { return (*Mesh)(NewDelta()) }

// Apply brings the mesh up to date with a delta.
func (m *Mesh) Apply(d *Delta) {
	merge(m.Frontends, d.Frontends)
	merge(m.Backends, d.Backends)
	merge(m.Endpoints, d.Endpoints)
	merge(m.Workloads, d.Workloads)
}

// All returns the mesh as one delta that makes it out of nothing.
func (m *Mesh) All() *Delta {
	d := NewDelta()
	(*Mesh)(d).Apply((*Delta)(m))
	return d
}

// Now returns a delta of the same keys with the mesh's values, nil for what the
// mesh does not hold.
func (m *Mesh) Now(d *Delta) *Delta {
	return &Delta{
		Frontends: pick(m.Frontends, d.Frontends),
		Backends:  pick(m.Backends, d.Backends),
		Endpoints: pick(m.Endpoints, d.Endpoints),
		Workloads: pick(m.Workloads, d.Workloads),
	}
}

func pick[K comparable, V any](from, keys map[K]*V) map[K]*V {
	picked := make(map[K]*V, len(keys))
	for k := range keys {
		picked[k] = from[k]
	}
	return picked
}

func merge[K comparable, V any](to, from map[K]*V) {
	for k, v := range from {
		if v == nil {
			delete(to, k)
		} else {
			to[k] = v
		}
	}
}
