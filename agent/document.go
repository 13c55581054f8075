package agent

import (
	"cmp"
	"maps"
	"slices"

	"sluice.io/sluice/model"
	"sluice.io/sluice/observe/gateways"
)

// Document is the mesh as sorted lists, for people and for JSON.
type Document struct {
	Frontends []*model.Frontend   `json:"frontends"`
	Backends  []*model.Backend    `json:"backends"`
	Endpoints []*model.Endpoints  `json:"endpoints"`
	Workloads []*model.Workload   `json:"workloads"`
	Gateways  []*gateways.Gateway `json:"gateways"`
	// Ports and Hosts are those of Gateways.
	Ports []*model.GatewayPort `json:"ports"`
	Hosts []*model.Host        `json:"hosts"`
	// Everywhere tells that the workloads are those of all nodes, and where they
	// were found is not known here.
	Everywhere bool `json:"-"`
}

// NewDocument lists a mesh. The workloads may hold more than the mesh does:
// those that are declared but not found. The statuses tell of Gateways.
func NewDocument(m *model.Mesh, workloads map[model.WorkloadKey]*model.Workload, statuses map[model.ObjectRef]*model.Status) *Document {
	return &Document{
		Gateways: gateways.List(m, statuses),
		Ports:    slices.SortedFunc(maps.Values(m.Ports), func(a, b *model.GatewayPort) int { return model.ComparePorts(a.Key, b.Key) }),
		Hosts: slices.SortedFunc(maps.Values(m.Hosts), func(a, b *model.Host) int {
			return cmp.Or(model.ComparePorts(a.Key.Port, b.Key.Port), cmp.Compare(a.Key.Chain, b.Key.Chain), cmp.Compare(a.Key.Domain, b.Key.Domain))
		}),
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

func compareBackends(a, b model.BackendKey) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol))
}
