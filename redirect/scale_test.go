package redirect

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"sluice.io/sluice/model"
)

// large is a mesh of n services with both address families and three endpoints
// for each.
func large(n int) meshBuilder {
	b := newMesh()
	for i := range n {
		name := fmt.Sprintf("s%d", i)
		hi, lo := byte(i>>8), byte(i)
		v4 := netip.AddrFrom4([4]byte{10, 96, hi, lo})
		v6 := netip.AddrFrom16([16]byte{0xfd, 0x96, 14: hi, 15: lo})
		var ends []string
		for e := range byte(3) {
			ends = append(ends, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, e, hi, lo}), 8080).String(),
				netip.AddrPortFrom(netip.AddrFrom16([16]byte{0xfd, e, 14: hi, 15: lo}), 8080).String())
		}
		b.backend(name, 80, model.TCP, ends...)
		b.front(name, 80, model.TCP, []netip.Addr{v4, v6})
	}
	return b
}

// carry is a plan carried out without a kernel.
func carry(tb testing.TB, p *planner, d *model.Delta) int {
	tb.Helper()
	if err := p.merge(d); err != nil {
		tb.Fatal(err)
	}
	ops := p.plan()
	for _, o := range ops {
		o.table.apply(o)
	}
	p.settle()
	return len(ops)
}

func TestWorkIsProportionalToTheChange(t *testing.T) {
	b := large(2000)
	p := newPlanner(newTables())
	carry(t, p, b.m.All())
	f := *b.m.Frontends[model.FrontendKey{Namespace: "shop", Name: "s7", Port: 80, Protocol: model.TCP}]
	if n := carry(t, p, &model.Delta{Frontends: map[model.FrontendKey]*model.Frontend{f.Key: &f}}); n != 0 {
		t.Errorf("a frontend that stays the same takes %d operations", n)
	}
	f.L4 = &model.L4Routing{Backends: []model.WeightedBackend{
		{Backend: backendKey("s7", 80, model.TCP), Weight: 1}, {Backend: backendKey("s8", 80, model.TCP), Weight: 1},
	}}
	if n := carry(t, p, &model.Delta{Frontends: map[model.FrontendKey]*model.Frontend{f.Key: &f}}); n != 4 {
		t.Errorf("a route for one of 2,000 services takes %d operations, want 2 splits and 2 frontends", n)
	}
	e := *b.m.Endpoints[backendKey("s9", 80, model.TCP)]
	e.Endpoints = e.Endpoints[2:]
	if n := carry(t, p, &model.Delta{Endpoints: map[model.BackendKey]*model.Endpoints{e.Key: &e}}); n != 10 {
		t.Errorf("an endpoint less, in two families, takes %d operations, want 2 slots moved, 2 members moved, 2 sizes, 2 slots and 2 members removed", n)
	}
	p.markAll()
	if n := carry(t, p, model.NewDelta()); n != 0 {
		t.Errorf("looking at all of it again takes %d operations", n)
	}
}

func TestTwentyThousandServicesFit(t *testing.T) {
	cfg := testConfig(t)
	cfg.Sizes = nil // the defaults
	b := large(20000)
	d := openTest(t, cfg)
	mustSync(t, d, b.m)
	dump, err := d.Dump()
	if err != nil {
		t.Fatal(err)
	}
	if len(dump.Frontends) != 40000 || len(dump.Groups) != 40000 {
		t.Errorf("%d frontends and %d groups", len(dump.Frontends), len(dump.Groups))
	}
	// The next run finds all of it, and has nothing to do.
	d.Close()
	again := openTest(t, cfg)
	again.planner.markAll()
	if err := again.planner.merge(again.planner.replacement(b.m)); err != nil {
		t.Fatal(err)
	}
	if ops := again.planner.plan(); len(ops) != 0 {
		t.Errorf("after opening again, %d operations: %v ...", len(ops), ops[0])
	}
	if ops := again.planner.sweep(); len(ops) != 0 {
		t.Errorf("after opening again, %d entries are swept: %v ...", len(ops), ops[0])
	}
}

func TestFullMapIsToldBeforeAnythingIsDone(t *testing.T) {
	cfg := testConfig(t)
	cfg.Sizes["sl_frontends"] = 10
	d := openTest(t, cfg)
	b := large(5) // 10 entries
	mustSync(t, d, b.m)
	before := fmt.Sprintf("%+v", mustDump(t, d))

	more := large(6)
	if err := d.Apply(more.m.All()); !errors.Is(err, ErrFull) {
		t.Fatalf("a change that does not fit: %v", err)
	}
	if after := fmt.Sprintf("%+v", mustDump(t, d)); after != before {
		t.Errorf("something of it was done:\n%s\n%s", before, after)
	}
	// What fits goes on.
	if err := d.Apply(&model.Delta{Endpoints: map[model.BackendKey]*model.Endpoints{backendKey("s0", 80, model.TCP): nil}}); err != nil {
		t.Errorf("the next change: %v", err)
	}
	if err := d.Sync(more.m); !errors.Is(err, ErrFull) {
		t.Errorf("a mesh that does not fit: %v", err)
	}
	if err := d.Sync(large(4).m); err != nil {
		t.Errorf("a mesh that fits: %v", err)
	}
	if n := len(mustDump(t, d).Frontends); n != 8 {
		t.Errorf("%d frontends, want 8", n)
	}
}

func mustDump(t *testing.T, d *Datapath) *Dump {
	t.Helper()
	dump, err := d.Dump()
	if err != nil {
		t.Fatal(err)
	}
	// By value, for comparing.
	for i := range dump.Frontends {
		dump.Frontends[i].Count = nil
	}
	return dump
}

func BenchmarkOneEdit(b *testing.B) {
	for _, n := range []int{100, 20000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			mesh := large(n)
			p := newPlanner(newTables())
			carry(b, p, mesh.m.All())
			key := model.FrontendKey{Namespace: "shop", Name: "s7", Port: 80, Protocol: model.TCP}
			one, two := *mesh.m.Frontends[key], *mesh.m.Frontends[key]
			two.L4 = &model.L4Routing{Backends: []model.WeightedBackend{{Backend: backendKey("s8", 80, model.TCP), Weight: 1}}}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				f := &one
				if i%2 == 0 {
					f = &two
				}
				carry(b, p, &model.Delta{Frontends: map[model.FrontendKey]*model.Frontend{key: f}})
			}
		})
	}
}
