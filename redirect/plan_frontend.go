package redirect

import (
	"fmt"
	"math"
	"slices"

	"sluice.io/sluice/bpf"
	"sluice.io/sluice/model"
)

func (p *planner) mergeFrontend(key model.FrontendKey, f *model.Frontend) error {
	if f != nil {
		if err := checkFrontend(f); err != nil {
			return fmt.Errorf("frontend %s stays as it was: %w", key, err)
		}
	}
	if old := p.frontends[key]; old != nil {
		p.unclaim(key, old)
		delete(p.frontends, key)
	}
	if f != nil {
		p.claim(key, f)
		p.frontends[key] = f
	}
	p.dirtyFrontends[key] = true
	return nil
}

func checkFrontend(f *model.Frontend) error {
	if err := checkName(f.Key.String()); err != nil {
		return err
	}
	if f.L4 == nil {
		return nil
	}
	if n := len(f.L4.Backends); n > bpf.MaxParts {
		return fmt.Errorf("%d backendRefs: the kernel balances between %d at most", n, bpf.MaxParts)
	}
	total := uint64(0)
	for _, b := range f.L4.Backends {
		total += uint64(b.Weight)
		if err := checkName(groupKey{b.Backend, ipv6}.String()); err != nil {
			return err
		}
	}
	if total > math.MaxUint32 {
		return fmt.Errorf("the weights add up to %d: the kernel can tell %d shares apart", total, uint32(math.MaxUint32))
	}
	return nil
}

// claim notes what a frontend needs: its number, its VIPs, its groups.
func (p *planner) claim(key model.FrontendKey, f *model.Frontend) {
	p.frontendIDs.hold(key)
	if key.ClientNamespace != "" {
		p.scopeIDs.hold(key.ClientNamespace)
	}
	for _, vip := range vipsOf(f) {
		if p.claims[vip] == nil {
			p.claims[vip] = map[model.FrontendKey]bool{}
		}
		p.claims[vip][key] = true
		p.dirtyVIPs[vip] = true
	}
	for _, g := range groupsOf(f) {
		p.use(g)
	}
}

func (p *planner) unclaim(key model.FrontendKey, f *model.Frontend) {
	p.frontendIDs.release(key)
	if key.ClientNamespace != "" {
		p.scopeIDs.release(key.ClientNamespace)
	}
	for _, vip := range vipsOf(f) {
		delete(p.claims[vip], key)
		if len(p.claims[vip]) == 0 {
			delete(p.claims, vip)
		}
		p.dirtyVIPs[vip] = true
	}
	for _, g := range groupsOf(f) {
		p.unuse(g)
	}
}

func vipsOf(f *model.Frontend) []vipKey {
	vips := make([]vipKey, 0, len(f.VIPs))
	for _, addr := range f.VIPs {
		vips = append(vips, vipKey{addr: addr.Unmap(), port: f.Key.Port, proto: toProto(f.Key.Protocol)})
	}
	return vips
}

func familiesOf(f *model.Frontend) []family {
	var out []family
	for _, addr := range f.VIPs {
		if fam := familyOf(addr); !slices.Contains(out, fam) {
			out = append(out, fam)
		}
	}
	return out
}

// groupsOf returns the groups that a frontend can send connections to, one for
// each part of it.
func groupsOf(f *model.Frontend) []groupKey {
	if f.L4 == nil {
		return nil
	}
	var out []groupKey
	for _, fam := range familiesOf(f) {
		for _, b := range f.L4.Backends {
			if b.Weight > 0 && b.Invalid == "" {
				out = append(out, groupKey{b.Backend, fam})
			}
		}
	}
	return out
}

// split is the frontend's division of new connections for one address family.
func (p *planner) split(f *model.Frontend, fam family) (split bpf.Split, parts int) {
	split.Frontend = p.frontendIDs.get(f.Key)
	for _, b := range f.L4.Backends {
		if b.Weight == 0 {
			continue
		}
		part := &split.Part[parts]
		if b.Invalid == "" {
			part.Group = p.groupIDs.get(groupKey{b.Backend, fam})
		}
		split.Total += b.Weight
		part.Upto = split.Total
		parts++
	}
	return split, parts
}

// planSplits writes the weights of a frontend that has several parts.
func (p *planner) planSplits(ops *[]op, key model.FrontendKey) {
	f := p.frontends[key]
	for _, fam := range []family{ipv4, ipv6} {
		id, known := p.frontendIDs.known(key)
		if f != nil && f.L4 != nil && slices.Contains(familiesOf(f), fam) {
			if split, parts := p.split(f, fam); parts > 1 {
				p.have.splits.put(ops, phaseSplit, bpf.SplitKey{Frontend: split.Frontend, Family: uint32(fam)}, split)
				continue
			}
		}
		if known {
			p.have.splits.drop(ops, phaseDropSplit, bpf.SplitKey{Frontend: id, Family: uint32(fam)})
		}
	}
}

// planVIP writes the entries of one VIP and port: one for all clients, and one
// for each client namespace that has its own.
func (p *planner) planVIP(ops *[]op, vip vipKey) {
	want := p.entries(vip)
	for _, scope := range sortedKeys(want) {
		phase := phaseScoped
		if scope == 0 {
			phase = phaseFrontend
		}
		p.have.frontends.put(ops, phase, frontendEntryKey(vip, scope), want[scope])
	}
	for _, scope := range sortedKeys(p.scopesAt(vip)) {
		if _, ok := want[scope]; !ok {
			p.have.frontends.drop(ops, phaseDropFrontend, frontendEntryKey(vip, scope))
		}
	}
}

// scopesAt returns the scopes that may have an entry for a VIP.
func (p *planner) scopesAt(vip vipKey) map[uint32]bool {
	scopes := map[uint32]bool{0: true}
	if p.have.frontends.rows[frontendEntryKey(vip, 0)].Flags&bpf.FrontendScoped != 0 {
		for _, n := range p.scopeIDs.numbers {
			scopes[n.id] = true
		}
	}
	return scopes
}

// entries returns what a VIP is to be, by scope. When two frontends claim the
// same VIP for the same clients, the first by name has it.
func (p *planner) entries(vip vipKey) map[uint32]bpf.Frontend {
	want := map[uint32]bpf.Frontend{}
	for _, key := range sortedKeysFunc(p.claims[vip], frontendOrder) {
		scope := uint32(0)
		if key.ClientNamespace != "" {
			scope = p.scopeIDs.get(key.ClientNamespace)
		}
		if _, taken := want[scope]; !taken {
			want[scope] = p.entry(vip, p.frontends[key])
		}
	}
	if _, ok := want[0]; len(want) > 0 && !ok {
		want[0] = echo(vip, bpf.Frontend{Action: bpf.ActionPass})
	}
	if len(want) > 1 {
		all := want[0]
		all.Flags |= bpf.FrontendScoped
		want[0] = all
	}
	return want
}

func (p *planner) entry(vip vipKey, f *model.Frontend) bpf.Frontend {
	e := bpf.Frontend{Id: p.frontendIDs.get(f.Key), Action: bpf.ActionEnvoy}
	if f.L4 != nil {
		e.Action = bpf.ActionKernel
		e.Affinity = uint32(min(math.Ceil(f.Affinity.Seconds()), math.MaxUint32))
		split, parts := p.split(f, familyOf(vip.addr))
		e.Parts = uint16(parts)
		if parts == 1 {
			e.Group = split.Part[0].Group
		}
	}
	return echo(vip, e)
}

// echo repeats a part of the key in the value: see struct frontend in types.h.
func echo(vip vipKey, e bpf.Frontend) bpf.Frontend {
	e.EchoIp, e.EchoPort, e.EchoProto = toAddr(vip.addr).W[3], toPort(vip.port), vip.proto
	return e
}

func frontendEntryKey(vip vipKey, scope uint32) bpf.FrontendKey {
	return bpf.FrontendKey{Vip: toAddr(vip.addr), Port: toPort(vip.port), Proto: vip.proto, Scope: scope}
}
