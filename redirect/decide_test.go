package redirect

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"sluice.io/sluice/bpf"
	"sluice.io/sluice/model"
)

// decider runs the decision of the programs in the kernel by BPF_PROG_TEST_RUN,
// with maps of its own.
type decider struct {
	t       *testing.T
	maps    map[string]*ebpf.Map
	planner *planner
	program *ebpf.Program
}

func newDecider(t *testing.T, m *model.Mesh) *decider {
	t.Helper()
	if testing.Short() {
		t.Skip("needs root and a kernel")
	}
	d := &decider{t: t, maps: map[string]*ebpf.Map{}, planner: newPlanner(newTables())}
	specs, err := bpf.Maps()
	if err != nil {
		t.Fatal(err)
	}
	for name, spec := range specs {
		spec.MaxEntries = min(spec.MaxEntries, 4096)
		m, err := ebpf.NewMap(spec)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		d.maps[name] = m
	}
	spec, err := bpf.Selftest()
	if err != nil {
		t.Fatal(err)
	}
	replaced := map[string]*ebpf.Map{}
	for name, s := range spec.Maps {
		if m := d.maps[name]; m != nil {
			s.MaxEntries = m.MaxEntries()
			replaced[name] = m
		}
	}
	coll, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: replaced})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(coll.Close)
	d.program = coll.Programs["sl_selftest"]
	d.apply(m.All())
	return d
}

func (d *decider) apply(delta *model.Delta) {
	d.t.Helper()
	if err := d.planner.merge(delta); err != nil {
		d.t.Fatal(err)
	}
	if err := carryOut(d.maps, d.planner.plan()); err != nil {
		d.t.Fatal(err)
	}
	d.planner.settle()
}

// answer is struct answer of selftest.bpf.c.
type answer struct {
	Verdict uint32
	To      bpf.Endpoint
	Digest  uint32
}

func request(proto model.Protocol, dst string) bpf.Request {
	a := netip.MustParseAddrPort(dst)
	return bpf.Request{Dst: toAddr(a.Addr()), Port: toPort(a.Port()), Proto: toProto(proto), Netns: 1, Socket: 1}
}

// ask returns "pass", "envoy", "refuse", or an endpoint ("kept" before it for an
// old flow).
func (d *decider) ask(rq bpf.Request) string {
	d.t.Helper()
	a, err := d.run(runOptions(rq))
	if err != nil {
		d.t.Fatal(err)
	}
	switch a.Verdict {
	case bpf.VerdictPass:
		return "pass"
	case bpf.VerdictEnvoy:
		return "envoy"
	case bpf.VerdictRefuse:
		return "refuse"
	case bpf.VerdictKept:
		return "kept " + fromEndpoint(a.To).String()
	}
	return fromEndpoint(a.To).String()
}

// runOptions is the packet for the program: the request and room for the answer.
func runOptions(rq bpf.Request) *ebpf.RunOptions {
	data := make([]byte, binary.Size(rq)+binary.Size(answer{}))
	if _, err := binary.Encode(data, binary.NativeEndian, rq); err != nil {
		return &ebpf.RunOptions{} // the kernel will refuse it
	}
	return &ebpf.RunOptions{Data: data, DataOut: make([]byte, 256)}
}

func (d *decider) run(opts *ebpf.RunOptions) (a answer, err error) {
	if rc, err := d.program.Run(opts); err != nil || rc != 0 {
		return answer{}, fmt.Errorf("the program returned %d: %w", rc, err)
	}
	_, err = binary.Decode(opts.DataOut[binary.Size(bpf.Request{}):], binary.NativeEndian, &a)
	return a, err
}

func (d *decider) count(rq bpf.Request, n int) map[string]int {
	d.t.Helper()
	out := map[string]int{}
	for range n {
		out[d.ask(rq)]++
	}
	return out
}

// share fails the test when the number of hits is off what the probability
// says by more than six standard deviations: once in 500 million runs by
// chance.
func within(t *testing.T, what string, hits, n int, p float64) {
	t.Helper()
	mean, deviation := float64(n)*p, math.Sqrt(float64(n)*p*(1-p))
	if math.Abs(float64(hits)-mean) > 6*deviation {
		t.Errorf("%s: %d of %d, want %.0f (give or take %.0f)", what, hits, n, mean, 6*deviation)
	}
}

func TestDecideVerdicts(t *testing.T) {
	b := newMesh().
		backend("cart", 80, model.TCP, "10.0.0.1:8080", "[fd00::1]:8080").
		backend("dns", 53, model.UDP, "10.0.0.2:5353").
		backend("v6only", 80, model.TCP, "[fd00::6]:8080")
	b.front("cart", 80, model.TCP, addrs("10.96.0.1", "fd96::1"))
	b.front("dns", 53, model.UDP, addrs("10.96.0.2"))
	b.front("v6only", 80, model.TCP, addrs("10.96.0.6", "fd96::6"))
	b.front("none", 80, model.TCP, addrs("10.96.0.3"))
	b.front("zero", 80, model.TCP, addrs("10.96.0.4"), share{"cart", 0, ""})
	b.front("invalid", 80, model.TCP, addrs("10.96.0.5"), share{"cart", 1, "BackendNotFound"})
	b.l7("web", 80, "10.96.0.7", "fd96::7")
	d := newDecider(t, b.m)
	for _, c := range []struct {
		proto     model.Protocol
		dst, want string
	}{
		{model.TCP, "10.96.0.1:80", "10.0.0.1:8080"},
		{model.TCP, "[::ffff:10.96.0.1]:80", "10.0.0.1:8080"},
		{model.TCP, "[fd96::1]:80", "[fd00::1]:8080"},
		{model.TCP, "10.96.0.1:81", "pass"},
		{model.UDP, "10.96.0.1:80", "pass"},
		{model.TCP, "10.0.0.1:8080", "pass"},
		{model.TCP, "192.0.2.1:443", "pass"},
		{model.UDP, "10.96.0.2:53", "10.0.0.2:5353"},
		{model.TCP, "10.96.0.2:53", "pass"},
		{model.TCP, "10.96.0.6:80", "refuse"},
		{model.TCP, "[fd96::6]:80", "[fd00::6]:8080"},
		{model.TCP, "10.96.0.3:80", "refuse"},
		{model.TCP, "10.96.0.4:80", "refuse"},
		{model.TCP, "10.96.0.5:80", "refuse"},
		{model.TCP, "10.96.0.7:80", "envoy"},
		{model.TCP, "[fd96::7]:80", "envoy"},
		{model.UDP, "10.96.0.7:80", "pass"},
	} {
		if got := d.ask(request(c.proto, c.dst)); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.proto, c.dst, got, c.want)
		}
	}
}

func TestDecideScopes(t *testing.T) {
	b := newMesh().
		backend("cart", 80, model.TCP, "10.0.0.1:8080").
		backend("canary", 80, model.TCP, "10.0.0.2:8080")
	b.front("cart", 80, model.TCP, addrs("10.96.0.1"))
	scoped := b.front("cart", 81, model.TCP, addrs("10.96.0.1"), share{"canary", 1, ""})
	delete(b.m.Frontends, scoped.Key)
	scoped.Key.Port, scoped.Key.ClientNamespace = 80, "client"
	scoped.L4.Backends[0].Backend.Port = 80
	b.m.Frontends[scoped.Key] = scoped
	d := newDecider(t, b.m)
	rq := request(model.TCP, "10.96.0.1:80")
	for scope, want := range map[uint32]string{
		0: "10.0.0.1:8080", d.planner.scopeIDs.get("client"): "10.0.0.2:8080", 99: "10.0.0.1:8080",
	} {
		rq.Scope = scope
		if got := d.ask(rq); got != want {
			t.Errorf("scope %d: %s, want %s", scope, got, want)
		}
	}
}

func TestDecideWeights(t *testing.T) {
	const n = 40000
	b := newMesh().
		backend("v1", 80, model.TCP, "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80").
		backend("v2", 80, model.TCP, "10.0.0.9:80").
		backend("empty", 80, model.TCP)
	b.front("cart", 80, model.TCP, addrs("10.96.0.1"), share{"v1", 90, ""}, share{"v2", 10, ""})
	b.front("part", 80, model.TCP, addrs("10.96.0.2"),
		share{"v1", 2, ""}, share{"v2", 0, ""}, share{"v2", 1, "BackendNotFound"}, share{"empty", 1, ""})
	b.front("huge", 80, model.TCP, addrs("10.96.0.3"), share{"v1", 1_000_000, ""}, share{"v2", 3_000_000, ""})
	d := newDecider(t, b.m)

	got := d.count(request(model.TCP, "10.96.0.1:80"), n)
	for _, e := range []string{"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"} {
		within(t, "a third of 90%: "+e, got[e], n, 0.3)
	}
	within(t, "10%", got["10.0.0.9:80"], n, 0.1)

	got = d.count(request(model.TCP, "10.96.0.2:80"), n)
	within(t, "an invalid and an empty part of 1 in 4 each", got["refuse"], n, 0.5)
	if got["10.0.0.9:80"] > 0 {
		t.Errorf("a part of weight 0 was chosen: %v", got)
	}

	got = d.count(request(model.TCP, "10.96.0.3:80"), n)
	within(t, "3 million of 4", got["10.0.0.9:80"], n, 0.75)
}

func TestDecideSixteenParts(t *testing.T) {
	b := newMesh()
	var shares []share
	for i := range bpf.MaxParts {
		name := string(rune('a' + i))
		b.backend(name, 80, model.TCP, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 80).String())
		shares = append(shares, share{name, 1, ""})
	}
	b.front("all", 80, model.TCP, addrs("10.96.0.1"), shares...)
	d := newDecider(t, b.m)
	const n = 16000
	got := d.count(request(model.TCP, "10.96.0.1:80"), n)
	if len(got) != bpf.MaxParts {
		t.Errorf("%d parts were chosen: %v", len(got), got)
	}
	for e, hits := range got {
		within(t, e, hits, n, 1.0/float64(bpf.MaxParts))
	}
}

func TestDecideAffinity(t *testing.T) {
	b := newMesh().backend("cart", 80, model.TCP,
		"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80", "10.0.0.5:80", "10.0.0.6:80", "10.0.0.7:80", "10.0.0.8:80")
	f := b.front("cart", 80, model.TCP, addrs("10.96.0.1"))
	f.Affinity = time.Hour
	d := newDecider(t, b.m)
	rq := request(model.TCP, "10.96.0.1:80")
	first := d.ask(rq)
	if got := d.count(rq, 200); got[first] != 200 {
		t.Fatalf("the client did not stay at %s: %v", first, got)
	}
	others := map[string]bool{}
	for i := range uint64(200) {
		other := rq
		other.Netns = 100 + i
		others[d.ask(other)] = true
	}
	if len(others) < 4 {
		t.Errorf("200 clients went to %d of 8 endpoints", len(others))
	}

	// Another endpoint goes: the client stays, though slots move.
	var rest []string
	for _, e := range b.m.Endpoints[f.Key.Backend()].Endpoints {
		if e.Addr.String() == first || len(rest) < 3 {
			rest = append(rest, e.Addr.String())
		}
	}
	b.backend("cart", 80, model.TCP, rest...)
	d.apply(&model.Delta{Endpoints: b.m.Endpoints})
	if got := d.count(rq, 50); got[first] != 50 {
		t.Errorf("the client left %s when others went: %v", first, got)
	}

	// Its endpoint goes: it moves, and stays there.
	b.backend("cart", 80, model.TCP, "10.0.1.1:80", "10.0.1.2:80")
	d.apply(&model.Delta{Endpoints: b.m.Endpoints})
	second := d.ask(rq)
	if got := d.count(rq, 50); got[second] != 50 || second == first {
		t.Errorf("after its endpoint went: %s, then %v", second, got)
	}

	// Time passes.
	key := bpf.AffinityKey{Netns: 1, Frontend: d.planner.frontendIDs.get(f.Key), Family: uint32(ipv4)}
	moved := false
	for range 200 {
		d.age(key, 2*time.Hour)
		moved = moved || d.ask(rq) != second
	}
	if !moved {
		t.Errorf("200 times after the time had passed, the client was still at %s", second)
	}
}

func TestDecideAffinityLeavesRemovedParts(t *testing.T) {
	b := newMesh().backend("v1", 80, model.TCP, "10.0.0.1:80").backend("v2", 80, model.TCP, "10.0.0.2:80")
	f := b.front("cart", 80, model.TCP, addrs("10.96.0.1"), share{"v1", 1, ""}, share{"v2", 1, ""})
	f.Affinity = time.Hour
	other := b.front("keeps", 80, model.TCP, addrs("10.96.0.2"), share{"v1", 1, ""}, share{"v2", 1, ""})
	d := newDecider(t, b.m)
	rq := request(model.TCP, "10.96.0.1:80")
	first := d.ask(rq)
	// The route now names the other backend only, and both stay in use elsewhere.
	name, want := "v1", "10.0.0.1:80"
	if first == want {
		name, want = "v2", "10.0.0.2:80"
	}
	changed := newMesh().front("cart", 80, model.TCP, addrs("10.96.0.1"), share{name, 1, ""})
	changed.Affinity = time.Hour
	d.apply(&model.Delta{Frontends: map[model.FrontendKey]*model.Frontend{f.Key: changed, other.Key: other}})
	if got := d.ask(rq); got != want {
		t.Errorf("a client stayed at %s, want %s", got, want)
	}
	// The same with a split whose weight went to zero.
	changed = newMesh().front("cart", 80, model.TCP, addrs("10.96.0.1"), share{"v1", 1, ""}, share{"v2", 1, ""}, share{name, 1, ""})
	changed.Affinity = time.Hour
	d.apply(&model.Delta{Frontends: map[model.FrontendKey]*model.Frontend{f.Key: changed}})
	if got := d.count(rq, 30); got[want] != 30 {
		t.Errorf("in a split the client did not stay at %s: %v", want, got)
	}
}

func TestDecideFlows(t *testing.T) {
	b := newMesh().backend("dns", 53, model.UDP, "10.0.0.1:53", "10.0.0.2:53", "10.0.0.3:53", "10.0.0.4:53")
	b.front("dns", 53, model.UDP, addrs("10.96.0.1", "10.96.0.2"))
	d := newDecider(t, b.m)
	rq := request(model.UDP, "10.96.0.1:53")
	rq.Datagram = 1
	first := d.ask(rq)
	if got := d.count(rq, 100); got["kept "+first] != 100 {
		t.Errorf("the flow did not stay at %s: %v", first, got)
	}
	spread := map[string]bool{}
	for i := range uint64(100) {
		other := rq
		other.Socket = 10 + i
		spread[d.ask(other)] = true
	}
	if len(spread) != 4 {
		t.Errorf("100 sockets' flows went to %v", spread)
	}
	b.backend("dns", 53, model.UDP, "10.0.0.9:53")
	d.apply(&model.Delta{Endpoints: b.m.Endpoints})
	if got := d.ask(rq); got != "10.0.0.9:53" {
		t.Errorf("after its endpoint went, the flow is at %s", got)
	}
	b.backend("dns", 53, model.UDP)
	d.apply(&model.Delta{Endpoints: b.m.Endpoints})
	if got := d.ask(rq); got != "refuse" {
		t.Errorf("without endpoints: %s", got)
	}
}

func TestDecideCounts(t *testing.T) {
	b := newMesh().backend("cart", 80, model.TCP, "10.0.0.1:80").backend("dns", 53, model.UDP, "10.0.0.1:53")
	f := b.front("cart", 80, model.TCP, addrs("10.96.0.1"))
	b.front("none", 80, model.TCP, addrs("10.96.0.2"))
	b.l7("web", 80, "10.96.0.3")
	b.front("dns", 53, model.UDP, addrs("10.96.0.1"))
	d := newDecider(t, b.m)
	d.count(request(model.TCP, "10.96.0.1:80"), 5)
	d.count(request(model.TCP, "10.96.0.2:80"), 3)
	d.count(request(model.TCP, "10.96.0.3:80"), 2)
	d.count(request(model.TCP, "192.0.2.1:80"), 7)
	flow := request(model.UDP, "10.96.0.1:53")
	flow.Datagram = 1
	d.count(flow, 9)
	counters, err := readCounters(d.maps["sl_counters"])
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]uint64{"kernelTCP": 5, "refused": 3, "envoy": 2, "kernelUDP": 1} {
		if counters[name] != want {
			t.Errorf("%s: %d, want %d", name, counters[name], want)
		}
	}
	tallies, err := readTallies(d.maps["sl_tallies"])
	if err != nil {
		t.Fatal(err)
	}
	if got := tallies[d.planner.frontendIDs.get(f.Key)]; got != (FrontendCount{Kernel: 5}) {
		t.Errorf("the frontend's count: %+v", got)
	}
}
