package redirect

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"sluice.io/sluice/bpf"
	"sluice.io/sluice/model"
)

// outcomes are all the things that can become of a connection: the addresses of
// endpoints, "refuse", "pass" or "envoy". "race" means that a reader would start
// again.
type outcomes map[string]bool

// read does what the programs do (choose.h, decide.h), with every possible
// random number, on tables that may change between any two look-ups: at(i) is
// what the i-th look-up of a try sees.
func read(at func(step int) *tables, vip vipKey, scope uint32) outcomes {
	f, ok := at(0).frontends.rows[frontendEntryKey(vip, 0)]
	if !ok {
		return outcomes{"pass": true}
	}
	if f.Flags&bpf.FrontendScoped != 0 {
		if own, ok := at(1).frontends.rows[frontendEntryKey(vip, scope)]; ok {
			f = own
		}
	}
	switch f.Action {
	case bpf.ActionPass:
		return outcomes{"pass": true}
	case bpf.ActionEnvoy:
		return outcomes{"envoy": true}
	}
	out := outcomes{}
	for _, group := range readGroups(at(2), f, vip, out) {
		readGroup(at, group, out, func() bool { return outdated(at(5), f, vip, scope, group) })
	}
	return out
}

func outdated(now *tables, f bpf.Frontend, vip vipKey, scope, group uint32) bool {
	again, ok := now.frontends.rows[frontendEntryKey(vip, 0)]
	if again.Flags&bpf.FrontendScoped != 0 {
		if own, ok := now.frontends.rows[frontendEntryKey(vip, scope)]; ok {
			again = own
		}
	}
	if !ok || again.Id != f.Id || again.Action != f.Action || again.Parts != f.Parts || again.Group != f.Group {
		return true
	}
	return f.Parts > 1 && !slices.Contains(readGroups(now, f, vip, outcomes{}), group)
}

func readGroups(t *tables, f bpf.Frontend, vip vipKey, out outcomes) []uint32 {
	switch f.Parts {
	case 0:
		out["refuse"] = true
		return nil
	case 1:
		return []uint32{f.Group}
	}
	split, ok := t.splits.rows[bpf.SplitKey{Frontend: f.Id, Family: uint32(familyOf(vip.addr))}]
	if !ok {
		out["race"] = true
		return nil
	}
	var groups []uint32
	before := uint32(0)
	for _, part := range split.Part {
		if part.Upto > before {
			groups = append(groups, part.Group)
			before = part.Upto
		}
	}
	if before != split.Total {
		out["broken split"] = true
	}
	return groups
}

func readGroup(at func(int) *tables, group uint32, out outcomes, outdated func() bool) {
	n := at(3).groups.rows[group].N
	switch {
	case group == 0:
		out["refuse"] = true
	case n == 0 && outdated():
		out["race"] = true
	case n == 0:
		out["refuse"] = true
	}
	for i := range n {
		e, ok := at(4).slots.rows[bpf.SlotKey{Group: group, Index: i}]
		if !ok {
			out["race"] = true
			continue
		}
		out[fromEndpoint(e).String()] = true
		if _, member := at(4).members.rows[e]; !member && at(3) == at(4) {
			out["not a member yet"] = true // would only cost stickiness
		}
	}
}

// meant is what the mesh says may become of a connection: all endpoints of all
// backends that the frontend names.
func meant(m *model.Mesh, vip vipKey, clientNamespace string) outcomes {
	f := meantFrontend(m, vip, clientNamespace)
	if f == nil {
		return outcomes{"pass": true}
	}
	return meantBy(m, f, vip)
}

func meantBy(m *model.Mesh, f *model.Frontend, vip vipKey) outcomes {
	if f.HTTP != nil {
		return outcomes{"envoy": true}
	}
	out := outcomes{}
	for _, b := range f.L4.Backends {
		if b.Weight > 0 && b.Invalid == "" {
			meantEndpoints(m, b.Backend, vip, out)
		} else if b.Weight > 0 {
			out["refuse"] = true
		}
	}
	if len(out) == 0 {
		out["refuse"] = true
	}
	return out
}

func meantFrontend(m *model.Mesh, vip vipKey, clientNamespace string) *model.Frontend {
	for _, scope := range []string{clientNamespace, ""} {
		for _, key := range sortedKeysFunc(m.Frontends, frontendOrder) {
			f := m.Frontends[key]
			if key.ClientNamespace == scope && slices.Contains(vipsOf(f), vip) {
				return f
			}
		}
	}
	return nil
}

func meantEndpoints(m *model.Mesh, key model.BackendKey, vip vipKey, out outcomes) {
	found := false
	if e := m.Endpoints[key]; e != nil {
		for _, ep := range e.Endpoints {
			if familyOf(ep.Addr.Addr()) == familyOf(vip.addr) {
				out[ep.Addr.String()] = true
				found = true
			}
		}
	}
	if !found {
		out["refuse"] = true
	}
}

// world is a small random mesh, in which everything is likely to touch
// everything else.
type world struct {
	rand *rand.Rand
	mesh *model.Mesh
}

func (w *world) backendKey() model.BackendKey {
	return backendKey(fmt.Sprintf("s%d", w.rand.IntN(4)), 80, model.TCP)
}

func (w *world) delta() *model.Delta {
	d := model.NewDelta()
	for range 1 + w.rand.IntN(3) {
		switch w.rand.IntN(3) {
		case 0, 1:
			key := w.backendKey()
			d.Endpoints[key] = w.endpoints(key)
		case 2:
			f := w.frontend()
			if d.Frontends[f.Key] = f; w.rand.IntN(4) == 0 {
				d.Frontends[f.Key] = nil
			}
		}
	}
	return d
}

func (w *world) endpoints(key model.BackendKey) *model.Endpoints {
	if w.rand.IntN(8) == 0 {
		return nil
	}
	e := &model.Endpoints{Key: key}
	for i := range 6 {
		if w.rand.IntN(2) == 0 {
			addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, key.Name[1] - '0', 0, byte(i)}), 8080)
			e.Endpoints = append(e.Endpoints, model.Endpoint{Addr: addr})
		}
	}
	return e
}

func (w *world) frontend() *model.Frontend {
	name := fmt.Sprintf("s%d", w.rand.IntN(3))
	f := &model.Frontend{Key: model.FrontendKey{Namespace: "shop", Name: name, Port: 80, Protocol: model.TCP}}
	if w.rand.IntN(3) == 0 {
		f.Key.ClientNamespace = fmt.Sprintf("ns%d", w.rand.IntN(2))
	}
	for i := range 3 {
		if w.rand.IntN(2) == 0 {
			f.VIPs = append(f.VIPs, netip.AddrFrom4([4]byte{10, 96, 0, byte(i)}))
		}
	}
	if w.rand.IntN(4) == 0 {
		f.HTTP = &model.HTTPRouting{}
		return f
	}
	f.L4 = &model.L4Routing{}
	for range w.rand.IntN(4) {
		b := model.WeightedBackend{Backend: w.backendKey(), Weight: uint32(w.rand.IntN(3))}
		if w.rand.IntN(6) == 0 {
			b.Invalid = "BackendNotFound"
		}
		f.L4.Backends = append(f.L4.Backends, b)
	}
	return f
}

// allVIPs are those that a world dials.
func allVIPs() []vipKey {
	var out []vipKey
	for i := range 3 {
		out = append(out, vipKey{addr: netip.AddrFrom4([4]byte{10, 96, 0, byte(i)}), port: 80, proto: protoTCP})
	}
	return out
}

func (t *tables) clone() *tables {
	c := newTables()
	c.meta.rows, c.names.rows, c.workloads.rows = maps.Clone(t.meta.rows), maps.Clone(t.names.rows), maps.Clone(t.workloads.rows)
	c.frontends.rows, c.splits.rows = maps.Clone(t.frontends.rows), maps.Clone(t.splits.rows)
	c.groups.rows, c.slots.rows, c.members.rows = maps.Clone(t.groups.rows), maps.Clone(t.slots.rows), maps.Clone(t.members.rows)
	return c
}

func cloneMesh(m *model.Mesh) *model.Mesh { return (*model.Mesh)(m.All()) }

// mixed adds what may be seen while one mesh turns into another: the old
// frontend with new endpoints, an address that the frontend loses with its new
// weights, and the other way round.
func mixed(before, after *model.Mesh, vip vipKey, ns string) outcomes {
	out := outcomes{}
	refuses := false
	for _, m := range []*model.Mesh{before, after} {
		maps.Copy(out, meant(m, vip, ns))
		f := meantFrontend(m, vip, ns)
		if f == nil {
			continue
		}
		for _, fronts := range []*model.Mesh{before, after} {
			version := fronts.Frontends[f.Key]
			if version == nil {
				continue
			}
			refuses = refuses || meantBy(fronts, version, vip)["refuse"]
			maps.Copy(out, meantBy(before, version, vip))
			maps.Copy(out, meantBy(after, version, vip))
		}
	}
	// That endpoints come and go is no reason to refuse in between.
	if !refuses {
		delete(out, "refuse")
	}
	return out
}

// TestReadersNeverGoAstray changes random meshes, and after each single
// operation looks at what each client would get.
func TestReadersNeverGoAstray(t *testing.T) {
	for seed := range uint64(300) {
		w := &world{rand: rand.New(rand.NewPCG(seed, 1)), mesh: model.NewMesh()}
		p := newPlanner(newTables())
		p.scopeIDs.hold("ns0") // for the clients there, who stay
		p.scopeIDs.hold("ns1")
		for range 12 {
			before := cloneMesh(w.mesh)
			d := w.delta()
			w.mesh.Apply(d)
			if err := p.merge(d); err != nil {
				t.Fatal(err)
			}
			states := []*tables{p.have.clone()}
			for _, o := range p.plan() {
				o.table.apply(o)
				states = append(states, p.have.clone())
			}
			p.settle()
			if more := p.plan(); len(more) > 0 {
				t.Fatalf("seed %d: a plan that was carried out leaves %v", seed, more)
			}
			checkStates(t, seed, states, before, w.mesh, p, w.rand)
		}
	}
}

func checkStates(t *testing.T, seed uint64, states []*tables, before, after *model.Mesh, p *planner, r *rand.Rand) {
	t.Helper()
	for _, vip := range allVIPs() {
		for _, ns := range []string{"", "ns0", "ns1"} {
			scope, _ := p.scopeIDs.known(ns)
			allowed := mixed(before, after, vip, ns)
			for i, s := range states {
				got := read(func(int) *tables { return s }, vip, scope)
				delete(got, "not a member yet")
				only(t, fmt.Sprintf("seed %d, %s for %q after operation %d of %d", seed, vip.addr, ns, i, len(states)-1), got, allowed)
			}
			last := read(func(int) *tables { return states[len(states)-1] }, vip, scope)
			if want := meant(after, vip, ns); !maps.Equal(last, want) {
				t.Fatalf("seed %d: at the end %s for %q leads to %v, want %v", seed, vip.addr, ns, last, want)
			}
			// A reader that is interrupted between its look-ups.
			steps := make([]int, 6)
			for i := range steps {
				steps[i] = r.IntN(len(states))
			}
			slices.Sort(steps)
			slow := read(func(step int) *tables { return states[steps[step]] }, vip, scope)
			delete(slow, "race") // starts again
			delete(slow, "not a member yet")
			only(t, fmt.Sprintf("seed %d, a slow reader of %s for %q", seed, vip.addr, ns), slow, allowed)
		}
	}
}

func only(t *testing.T, what string, got, allowed outcomes) {
	t.Helper()
	for o := range got {
		if !allowed[o] {
			t.Fatalf("%s leads to %s; allowed are %v", what, o, slices.Sorted(maps.Keys(allowed)))
		}
	}
}

// TestKilledInTheMiddle: whatever a killed run left, the next one makes right.
func TestKilledInTheMiddle(t *testing.T) {
	for seed := range uint64(300) {
		w := &world{rand: rand.New(rand.NewPCG(seed, 2)), mesh: model.NewMesh()}
		have := newTables()
		for range 6 {
			p := newPlanner(have)
			d := w.delta()
			w.mesh.Apply(d)
			p.markAll()
			if err := p.merge(p.replacement(w.mesh)); err != nil {
				t.Fatal(err)
			}
			ops := p.plan()
			if w.rand.IntN(2) == 0 {
				ops = ops[:w.rand.IntN(len(ops)+1)]
			}
			for _, o := range ops {
				o.table.apply(o)
			}
		}
		p := newPlanner(have)
		p.markAll()
		if err := p.merge(p.replacement(w.mesh)); err != nil {
			t.Fatal(err)
		}
		for _, ops := range [][]op{p.plan(), nil} {
			if ops == nil {
				p.settle()
				ops = p.sweep()
			}
			for _, o := range ops {
				o.table.apply(o)
			}
		}
		sameAsFresh(t, seed, have, w.mesh)
	}
}

func sameAsFresh(t *testing.T, seed uint64, have *tables, m *model.Mesh) {
	t.Helper()
	fresh := newPlanner(newTables())
	if err := fresh.merge(m.All()); err != nil {
		t.Fatal(err)
	}
	for _, o := range fresh.plan() {
		o.table.apply(o)
	}
	for i, got := range have.all() {
		if want := fresh.have.all()[i]; got.size() != want.size() {
			t.Errorf("seed %d: %s has %d entries, want %d", seed, got.mapName(), got.size(), want.size())
		}
	}
	got, want := newDump(have, fresh.steers, nil, nil), newDump(fresh.have, fresh.steers, nil, nil)
	for _, d := range []*Dump{got, want} {
		for _, g := range d.Groups {
			slices.SortFunc(g.Endpoints, netip.AddrPort.Compare)
		}
	}
	if a, b := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); a != b {
		t.Errorf("seed %d: after a kill:\n%s\nwant:\n%s", seed, a, b)
	}
}
