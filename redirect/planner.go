package redirect

import (
	"cmp"
	"errors"
	"maps"
	"net/netip"
	"slices"

	"sluice.io/sluice/bpf"
	"sluice.io/sluice/model"
)

// vipKey is what a client dials.
type vipKey struct {
	addr  netip.Addr
	port  uint16
	proto uint8
}

// groupKey is one backend's endpoints of one address family.
type groupKey struct {
	backend model.BackendKey
	family  family
}

func (k groupKey) String() string { return k.backend.String() + "/" + k.family.String() }

// planner turns changes of the mesh into operations on tables. It remembers
// what is wanted, what is there, and which parts of the two may differ, so that
// its work is proportional to the change.
type planner struct {
	have *tables

	frontendIDs *ids[model.FrontendKey]
	groupIDs    *ids[groupKey]
	scopeIDs    *ids[string]

	frontends map[model.FrontendKey]*model.Frontend
	endpoints map[model.BackendKey]*model.Endpoints
	workloads map[model.WorkloadKey]*model.Workload
	ports     map[model.PortKey]*model.GatewayPort // those of TCP

	claims map[vipKey]map[model.FrontendKey]bool            // who wants a VIP
	uses   map[groupKey]int                                 // parts of frontends that need a group
	places map[bpf.WorkloadKey]map[model.WorkloadKey]uint16 // who is found at a place, with its flags
	steers claims                                           // whose an address and port is

	dirtyVIPs      map[vipKey]bool
	dirtyFrontends map[model.FrontendKey]bool
	dirtyGroups    map[groupKey]bool
	dirtyPlaces    map[bpf.WorkloadKey]bool
	dirtySteers    map[steerKey]bool
}

func newPlanner(have *tables) *planner {
	p := &planner{
		have:        have,
		frontendIDs: newIDs(bpf.NameFrontend, model.FrontendKey.String, frontendOrder),
		groupIDs:    newIDs(bpf.NameGroup, groupKey.String, groupOrder),
		scopeIDs:    newIDs(bpf.NameScope, func(namespace string) string { return namespace }, cmp.Compare[string]),
		frontends:   map[model.FrontendKey]*model.Frontend{},
		endpoints:   map[model.BackendKey]*model.Endpoints{},
		workloads:   map[model.WorkloadKey]*model.Workload{},
		ports:       map[model.PortKey]*model.GatewayPort{},
		claims:      map[vipKey]map[model.FrontendKey]bool{},
		uses:        map[groupKey]int{},
		places:      map[bpf.WorkloadKey]map[model.WorkloadKey]uint16{},
		steers:      claims{},
	}
	p.clean()
	p.restoreIDs()
	return p
}

// clean forgets what was dirty. The maps are new ones: to clear one costs as
// much as it has ever held, which is everything after the first plan.
func (p *planner) clean() {
	p.dirtyVIPs = map[vipKey]bool{}
	p.dirtyFrontends = map[model.FrontendKey]bool{}
	p.dirtyGroups = map[groupKey]bool{}
	p.dirtyPlaces = map[bpf.WorkloadKey]bool{}
	p.dirtySteers = map[steerKey]bool{}
}

// restoreIDs takes the numbers over that an earlier run gave out.
func (p *planner) restoreIDs() {
	restore := map[uint32]func(string, uint32){
		bpf.NameFrontend: p.frontendIDs.restore, bpf.NameGroup: p.groupIDs.restore, bpf.NameScope: p.scopeIDs.restore,
	}
	for key, name := range p.have.names.rows {
		if f := restore[key.Kind]; f != nil {
			f(fromName(name), key.Id)
		}
	}
	meta := p.have.meta.rows[0]
	p.frontendIDs.next = max(p.frontendIDs.next, meta.NextFrontend)
	p.groupIDs.next = max(p.groupIDs.next, meta.NextGroup)
	p.scopeIDs.next = max(p.scopeIDs.next, meta.NextScope)
}

// merge notes what a delta wants. Frontends that cannot be planned keep their
// last good state, and are told of in the error.
func (p *planner) merge(d *model.Delta) error {
	var errs []error
	for _, key := range sortedKeysFunc(d.Frontends, frontendOrder) {
		if err := p.mergeFrontend(key, d.Frontends[key]); err != nil {
			errs = append(errs, err)
		}
	}
	for key, e := range d.Endpoints {
		p.mergeEndpoints(key, e)
	}
	for _, key := range sortedKeysFunc(d.Workloads, workloadOrder) {
		p.mergeWorkload(key, d.Workloads[key])
	}
	for key, g := range d.Ports {
		p.mergePort(key, g)
	}
	return errors.Join(errs...)
}

// replacement is the delta that leads from what is wanted now to a mesh.
func (p *planner) replacement(m *model.Mesh) *model.Delta {
	d := m.All()
	for key := range p.frontends {
		if m.Frontends[key] == nil {
			d.Frontends[key] = nil
		}
	}
	for key := range p.endpoints {
		if m.Endpoints[key] == nil {
			d.Endpoints[key] = nil
		}
	}
	for key := range p.workloads {
		if m.Workloads[key] == nil {
			d.Workloads[key] = nil
		}
	}
	for key := range p.ports {
		if m.Ports[key] == nil {
			d.Ports[key] = nil
		}
	}
	return d
}

// inverse is the delta that takes another one back.
func (p *planner) inverse(d *model.Delta) *model.Delta {
	back := model.NewDelta()
	for key := range d.Frontends {
		back.Frontends[key] = p.frontends[key]
	}
	for key := range d.Endpoints {
		back.Endpoints[key] = p.endpoints[key]
	}
	for key := range d.Workloads {
		back.Workloads[key] = p.workloads[key]
	}
	for key := range d.Ports {
		back.Ports[key] = p.ports[key]
	}
	return back
}

// plan returns the operations that make the tables hold what is wanted.
func (p *planner) plan() []op {
	var ops []op
	for _, key := range sortedKeysFunc(p.dirtyGroups, groupOrder) {
		p.planGroup(&ops, key)
	}
	for _, key := range sortedKeysFunc(p.dirtyFrontends, frontendOrder) {
		p.planSplits(&ops, key)
	}
	for _, key := range sortedKeysFunc(p.dirtyVIPs, vipOrder) {
		p.planVIP(&ops, key)
	}
	for _, key := range sortedKeysFunc(p.dirtyPlaces, placeOrder) {
		p.planPlace(&ops, key)
	}
	if len(p.dirtySteers) > 0 {
		p.dirtySteers[ownPort] = true
	}
	for _, key := range sortedKeysFunc(p.dirtySteers, steerOrder) {
		p.planSteer(&ops, key)
	}
	p.planIDs(&ops)
	slices.SortStableFunc(ops, func(a, b op) int { return cmp.Compare(a.phase, b.phase) })
	return ops
}

func (p *planner) planIDs(ops *[]op) {
	p.frontendIDs.plan(ops, p.have.names)
	p.groupIDs.plan(ops, p.have.names)
	p.scopeIDs.plan(ops, p.have.names)
	p.have.meta.put(ops, phaseMeta, 0, bpf.Meta{
		NextFrontend: p.frontendIDs.next, NextGroup: p.groupIDs.next, NextScope: p.scopeIDs.next,
	})
}

// settle is called when a plan has been carried out to its end. It returns the
// numbers of frontends that are no more.
func (p *planner) settle() (gone []uint32) {
	p.clean()
	gone = p.frontendIDs.settle()
	p.groupIDs.settle()
	p.scopeIDs.settle()
	return gone
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

func sortedKeysFunc[K comparable, V any](m map[K]V, order func(a, b K) int) []K {
	return slices.SortedFunc(maps.Keys(m), order)
}

func frontendOrder(a, b model.FrontendKey) int {
	return cmp.Or(
		cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Port, b.Port),
		cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.ClientNamespace, b.ClientNamespace))
}

func groupOrder(a, b groupKey) int {
	return cmp.Or(
		cmp.Compare(a.backend.Namespace, b.backend.Namespace), cmp.Compare(a.backend.Name, b.backend.Name),
		cmp.Compare(a.backend.Port, b.backend.Port), cmp.Compare(a.backend.Protocol, b.backend.Protocol),
		cmp.Compare(a.family, b.family))
}

func vipOrder(a, b vipKey) int {
	return cmp.Or(a.addr.Compare(b.addr), cmp.Compare(a.port, b.port), cmp.Compare(a.proto, b.proto))
}

func placeOrder(a, b bpf.WorkloadKey) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Id, b.Id))
}
