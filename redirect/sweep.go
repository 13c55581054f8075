package redirect

import (
	"sluice.io/sluice/bpf"
	"sluice.io/sluice/model"
)

// markAll makes the next plan compare everything that is wanted.
func (p *planner) markAll() {
	for key := range p.frontends {
		p.dirtyFrontends[key] = true
	}
	for vip := range p.claims {
		p.dirtyVIPs[vip] = true
	}
	for g := range p.uses {
		p.dirtyGroups[g] = true
	}
	for place := range p.places {
		p.dirtyPlaces[place] = true
	}
	for at := range p.steers {
		p.dirtySteers[at] = true
	}
	p.frontendIDs.markAll()
	p.groupIDs.markAll()
	p.scopeIDs.markAll()
}

// sweep returns the operations that remove what nobody wants: left by a mesh of
// an earlier run, or by a run that was killed in the middle of a plan. It looks
// at every entry, and is for Sync only. The plan has been carried out before,
// so nothing that serves refers to what it removes.
func (p *planner) sweep() []op {
	var ops []op
	p.sweepWorkloads(&ops)
	p.sweepFrontends(&ops)
	p.sweepGroups(&ops)
	p.sweepNames(&ops)
	p.sweepSteering(&ops)
	return ops
}

func (p *planner) sweepWorkloads(ops *[]op) {
	for place := range p.have.workloads.rows {
		if len(p.places[place]) == 0 {
			p.have.workloads.drop(ops, phaseDropWorkload, place)
		}
	}
}

func (p *planner) sweepFrontends(ops *[]op) {
	live := map[bpf.SplitKey]bool{}
	want := map[bpf.FrontendKey]bool{}
	for vip := range p.claims {
		for scope := range p.entries(vip) {
			want[frontendEntryKey(vip, scope)] = true
		}
	}
	for key := range p.have.frontends.rows {
		if !want[key] {
			p.have.frontends.drop(ops, phaseDropFrontend, key)
		}
	}
	for key, f := range p.frontends {
		for _, fam := range familiesOf(f) {
			live[bpf.SplitKey{Frontend: p.frontendIDs.get(key), Family: uint32(fam)}] = f.L4 != nil
		}
	}
	for key := range p.have.splits.rows {
		if !live[key] {
			p.have.splits.drop(ops, phaseDropSplit, key)
		}
	}
}

func (p *planner) sweepGroups(ops *[]op) {
	live := map[uint32]bool{}
	for g := range p.uses {
		live[p.groupIDs.get(g)] = true
	}
	for id := range p.have.groups.rows {
		if !live[id] {
			p.have.groups.drop(ops, phaseDropGroup, id)
		}
	}
	for key := range p.have.slots.rows {
		if !live[key.Group] || key.Index >= p.have.groups.rows[key.Group].N {
			p.have.slots.drop(ops, phaseDropSlot, key)
		}
	}
	for member, index := range p.have.members.rows {
		slot, ok := p.have.slots.rows[bpf.SlotKey{Group: member.Group, Index: index}]
		if !live[member.Group] || !ok || slot != member || index >= p.have.groups.rows[member.Group].N {
			p.have.members.drop(ops, phaseDropMember, member)
		}
	}
}

func (p *planner) sweepNames(ops *[]op) {
	held := map[uint32]map[uint32]bool{
		bpf.NameFrontend: p.frontendIDs.held(), bpf.NameGroup: p.groupIDs.held(), bpf.NameScope: p.scopeIDs.held(),
	}
	for key := range p.have.names.rows {
		if !held[key.Kind][key.Id] {
			p.have.names.drop(ops, phaseDropName, key)
		}
	}
}

// Plan returns what the maps of a machine that has no other state would hold
// for a mesh. It touches nothing.
func Plan(m *model.Mesh) *Dump {
	p := newPlanner(newTables())
	err := p.merge(m.All())
	for _, o := range p.plan() {
		o.table.apply(o)
	}
	d := newDump(p.have, p.steers, nil, nil)
	if err != nil {
		d.Problems = append(d.Problems, err.Error())
	}
	return d
}
