package agent

import (
	"cmp"
	"maps"
	"slices"

	"sluice.io/sluice/model"
)

// Document is the mesh as sorted lists, for people and for JSON.
type Document struct {
	Frontends []*model.Frontend  `json:"frontends"`
	Backends  []*model.Backend   `json:"backends"`
	Endpoints []*model.Endpoints `json:"endpoints"`
	Workloads []*model.Workload  `json:"workloads"`
	// Everywhere tells that the workloads are those of all nodes, and where they
	// were found is not known here.
	Everywhere bool `json:"-"`
}

// NewDocument lists a mesh. The workloads may hold more than the mesh does:
// those that are declared but not found.
func NewDocument(m *model.Mesh, workloads map[model.WorkloadKey]*model.Workload) *Document {
	return &Document{
		Frontends: slices.SortedFunc(maps.Values(m.Frontends), func(a, b *model.Frontend) int {
			return cmp.Or(compareBackends(a.Key.Backend(), b.Key.Backend()), cmp.Compare(a.Key.ClientNamespace, b.Key.ClientNamespace))
		}),
		Backends:  slices.SortedFunc(maps.Values(m.Backends), func(a, b *model.Backend) int { return compareBackends(a.Key, b.Key) }),
		Endpoints: slices.SortedFunc(maps.Values(m.Endpoints), func(a, b *model.Endpoints) int { return compareBackends(a.Key, b.Key) }),
		Workloads: slices.SortedFunc(maps.Values(workloads), func(a, b *model.Workload) int {
			return cmp.Or(cmp.Compare(a.Key.Namespace, b.Key.Namespace), cmp.Compare(a.Key.Name, b.Key.Name))
		}),
	}
}

// Mesh is the inverse of NewDocument.
func (d *Document) Mesh() *model.Mesh {
	m := model.NewMesh()
	for _, f := range d.Frontends {
		m.Frontends[f.Key] = f
	}
	for _, b := range d.Backends {
		m.Backends[b.Key] = b
	}
	for _, e := range d.Endpoints {
		m.Endpoints[e.Key] = e
	}
	for _, w := range d.Workloads {
		m.Workloads[w.Key] = w
	}
	return m
}

func compareBackends(a, b model.BackendKey) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol))
}
