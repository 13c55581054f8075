package redirect

import (
	"net/netip"

	"sluice.io/sluice/bpf"
	"sluice.io/sluice/model"
)

func (p *planner) mergeEndpoints(key model.BackendKey, e *model.Endpoints) {
	if e == nil {
		delete(p.endpoints, key)
	} else {
		p.endpoints[key] = e
	}
	for _, fam := range []family{ipv4, ipv6} {
		if g := (groupKey{key, fam}); p.uses[g] > 0 {
			p.dirtyGroups[g] = true
		}
	}
}

// use and unuse count the parts of frontends that need a group. Backends that
// only Envoy sends to have none in the kernel.
func (p *planner) use(g groupKey) {
	p.uses[g]++
	p.groupIDs.hold(g)
	p.dirtyGroups[g] = true
}

func (p *planner) unuse(g groupKey) {
	p.uses[g]--
	if p.uses[g] == 0 {
		delete(p.uses, g)
	}
	p.groupIDs.release(g)
	p.dirtyGroups[g] = true
}

func (p *planner) planGroup(ops *[]op, key groupKey) {
	if p.uses[key] > 0 {
		id := p.groupIDs.get(key)
		p.regroup(ops, id, p.wanted(key, id))
		return
	}
	if id, ok := p.groupIDs.known(key); ok {
		p.dropGroup(ops, id)
	}
}

// wanted returns a group's endpoints, without duplicates.
func (p *planner) wanted(key groupKey, id uint32) []bpf.Endpoint {
	all := p.endpoints[key.backend]
	if all == nil {
		return nil
	}
	seen := map[netip.AddrPort]bool{}
	var out []bpf.Endpoint
	for _, e := range all.Endpoints {
		addr := netip.AddrPortFrom(e.Addr.Addr().Unmap(), e.Addr.Port())
		if familyOf(addr.Addr()) == key.family && !seen[addr] {
			seen[addr] = true
			out = append(out, toEndpoint(addr, id))
		}
	}
	return out
}

// regroup makes a group hold the wanted endpoints. Endpoints that stay keep
// their slots as far as possible; first slots, then the size, then what is left
// over: at any time, all slots below the size hold old or new endpoints.
func (p *planner) regroup(ops *[]op, id uint32, want []bpf.Endpoint) {
	final := p.arrange(id, want)
	for i, e := range final {
		p.have.slots.put(ops, phaseSlot, bpf.SlotKey{Group: id, Index: uint32(i)}, e)
		p.have.members.put(ops, phaseMember, e, uint32(i))
	}
	size := phaseGroup
	if p.have.groups.rows[id].N > uint32(len(final)) {
		size = phaseShrink
	}
	p.have.groups.put(ops, size, id, bpf.Group{N: uint32(len(final))})
	p.dropBeyond(ops, id, final)
}

// arrange puts the wanted endpoints into slots 0 to len(want)-1: those that are
// in one of these slots now stay there.
func (p *planner) arrange(id uint32, want []bpf.Endpoint) []bpf.Endpoint {
	final := make([]bpf.Endpoint, len(want))
	free := make([]bool, len(want))
	pending := map[bpf.Endpoint]bool{}
	for _, e := range want {
		pending[e] = true
	}
	n := p.have.groups.rows[id].N
	for i := range final {
		e, ok := p.have.slots.rows[bpf.SlotKey{Group: id, Index: uint32(i)}]
		if ok && uint32(i) < n && pending[e] {
			final[i] = e
			delete(pending, e)
		} else {
			free[i] = true
		}
	}
	i := 0
	for _, e := range want {
		if !pending[e] {
			continue
		}
		for !free[i] {
			i++
		}
		final[i], free[i] = e, false
	}
	return final
}

// dropBeyond removes the slots past the end, from the top, and the membership
// of endpoints that are gone.
func (p *planner) dropBeyond(ops *[]op, id uint32, final []bpf.Endpoint) {
	stays := map[bpf.Endpoint]bool{}
	for _, e := range final {
		stays[e] = true
	}
	slots := p.slotsOf(id)
	for i := len(slots) - 1; i >= 0; i-- {
		if i >= len(final) {
			p.have.slots.drop(ops, phaseDropSlot, bpf.SlotKey{Group: id, Index: uint32(i)})
		}
		if !stays[slots[i]] {
			stays[slots[i]] = true // once
			p.have.members.drop(ops, phaseDropMember, slots[i])
		}
	}
}

// slotsOf returns all slots that a group has, those past its size included: a
// run that was killed may have left some.
func (p *planner) slotsOf(id uint32) []bpf.Endpoint {
	var out []bpf.Endpoint
	for {
		e, ok := p.have.slots.rows[bpf.SlotKey{Group: id, Index: uint32(len(out))}]
		if !ok {
			return out
		}
		out = append(out, e)
	}
}

func (p *planner) dropGroup(ops *[]op, id uint32) {
	p.have.groups.drop(ops, phaseDropGroup, id)
	p.dropBeyond(ops, id, nil)
}
