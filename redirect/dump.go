package redirect

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"

	"sluice.io/sluice/bpf"
	"sluice.io/sluice/model"
)

// Dump is what the maps hold, in words.
type Dump struct {
	Workloads []WorkloadEntry `json:"workloads"`
	Frontends []FrontendEntry `json:"frontends"`
	Groups    []GroupEntry    `json:"groups"`
	Gateways  []GatewayEntry  `json:"gateways,omitempty"`
	// Counters are the decisions since the data path was installed, by kind.
	Counters map[string]uint64 `json:"counters,omitempty"`
	// Problems are objects that the kernel could not take.
	Problems []string `json:"problems,omitempty"`
}

// WorkloadEntry is a place whose connections are steered.
type WorkloadEntry struct {
	// Netns is the cookie of the network namespace, or zero.
	Netns uint64 `json:"netns,omitempty"`
	// Cgroup is the cgroup's id, for workloads of the node's network namespace.
	Cgroup uint64 `json:"cgroup,omitempty"`
	// Namespace is the workload's; empty for a network namespace whose workloads
	// are told apart by cgroup.
	Namespace string `json:"namespace,omitempty"`
	// EnvoyPort is where Envoy listens for it on the loopback.
	EnvoyPort uint16 `json:"envoyPort"`
}

// FrontendEntry is what becomes of connections to one address and port.
type FrontendEntry struct {
	Address  netip.AddrPort `json:"address"`
	Protocol string         `json:"protocol"`
	// ClientNamespace is set when the entry is for clients of one namespace.
	ClientNamespace string `json:"clientNamespace,omitempty"`
	// Frontend names the service port (and the client namespace).
	Frontend string `json:"frontend,omitempty"`
	// Action is kernel, envoy, or pass (for all clients but those of a namespace).
	Action string `json:"action"`
	// AffinitySeconds is how long a client stays with its endpoint.
	AffinitySeconds uint32      `json:"affinitySeconds,omitempty"`
	Parts           []PartEntry `json:"parts,omitempty"`
	// Count is of the frontend, all its addresses together.
	Count *FrontendCount `json:"count,omitempty"`
}

// PartEntry is one part's share of new connections.
type PartEntry struct {
	Weight uint32 `json:"weight"`
	// Group names the endpoints; empty when the share is refused.
	Group   string `json:"group,omitempty"`
	Refused bool   `json:"refused,omitempty"`
}

// FrontendCount counts connections (and flows of unconnected UDP sockets).
type FrontendCount struct {
	Kernel  uint64 `json:"kernel"`
	Envoy   uint64 `json:"envoy"`
	Refused uint64 `json:"refused"`
}

// GroupEntry is the endpoints of one backend, of one address family.
type GroupEntry struct {
	Group     string           `json:"group"`
	Endpoints []netip.AddrPort `json:"endpoints"`
}

// GatewayEntry is an address and port of the node whose connections are given
// to Envoy, as they are.
type GatewayEntry struct {
	// Address is where clients dial; the IPv6 zero address stands for all
	// addresses of the node, of both families.
	Address netip.AddrPort `json:"address"`
	// Gateways are the ports of gateways that are dialled there.
	Gateways []string `json:"gateways,omitempty"`
	// Reserved tells that this is Envoy's own port: nobody else may bind it.
	Reserved bool `json:"reserved,omitempty"`
}

// Dump returns the maps' content with the counters of now.
func (d *Datapath) Dump() (*Dump, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	tallies, err := readTallies(d.maps["sl_tallies"])
	if err != nil {
		return nil, err
	}
	counters, err := readCounters(d.maps["sl_counters"])
	if err != nil {
		return nil, err
	}
	return newDump(d.planner.have, d.planner.steers, tallies, counters), nil
}

func readTallies(m *ebpf.Map) (map[uint32]FrontendCount, error) {
	out := map[uint32]FrontendCount{}
	var (
		id     uint32
		perCPU []bpf.Tally
	)
	it := m.Iterate()
	for it.Next(&id, &perCPU) {
		var sum FrontendCount
		for _, t := range perCPU {
			sum.Kernel += t.Kernel
			sum.Envoy += t.Envoy
			sum.Refused += t.Refused
		}
		out[id] = sum
	}
	if err := it.Err(); err != nil {
		return nil, fmt.Errorf("read the frontends' counters: %w", err)
	}
	return out, nil
}

func readCounters(m *ebpf.Map) (map[string]uint64, error) {
	out := map[string]uint64{}
	for i, name := range bpf.Counters {
		var perCPU []uint64
		if err := m.Lookup(uint32(i), &perCPU); err != nil {
			return nil, fmt.Errorf("read the counters: %w", err)
		}
		for _, n := range perCPU {
			out[name] += n
		}
	}
	return out, nil
}

// dumper resolves numbers to names.
type dumper struct {
	t       *tables
	steers  claims
	names   map[bpf.NameKey]string
	tallies map[uint32]FrontendCount
}

func newDump(t *tables, steers claims, tallies map[uint32]FrontendCount, counters map[string]uint64) *Dump {
	d := dumper{t: t, steers: steers, names: map[bpf.NameKey]string{}, tallies: tallies}
	for key, name := range t.names.rows {
		d.names[key] = fromName(name)
	}
	return &Dump{Workloads: d.workloads(), Frontends: d.frontends(), Groups: d.groups(), Gateways: d.gateways(), Counters: counters}
}

func (d dumper) name(kind, id uint32) string { return d.names[bpf.NameKey{Kind: kind, Id: id}] }

func (d dumper) workloads() []WorkloadEntry {
	out := []WorkloadEntry{}
	for key, w := range d.t.workloads.rows {
		e := WorkloadEntry{Namespace: d.name(bpf.NameScope, w.Scope), EnvoyPort: fromPort(w.EnvoyPort)}
		if key.Kind == bpf.KindCgroup {
			e.Cgroup = key.Id
		} else {
			e.Netns = key.Id
		}
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b WorkloadEntry) int {
		return cmp.Or(cmp.Compare(a.Netns, b.Netns), cmp.Compare(a.Cgroup, b.Cgroup))
	})
	return out
}

var actions = map[uint8]string{bpf.ActionPass: "pass", bpf.ActionKernel: "kernel", bpf.ActionEnvoy: "envoy"}

func (d dumper) frontends() []FrontendEntry {
	out := []FrontendEntry{}
	for key, f := range d.t.frontends.rows {
		e := FrontendEntry{
			Address:         netip.AddrPortFrom(fromAddr(key.Vip), fromPort(key.Port)),
			Protocol:        string(fromProto(key.Proto)),
			ClientNamespace: d.name(bpf.NameScope, key.Scope),
			Frontend:        d.name(bpf.NameFrontend, f.Id),
			Action:          actions[f.Action],
			AffinitySeconds: f.Affinity,
			Parts:           d.parts(key, f),
		}
		if c, ok := d.tallies[f.Id]; ok {
			e.Count = &c
		}
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b FrontendEntry) int {
		return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.ClientNamespace, b.ClientNamespace))
	})
	return out
}

func (d dumper) parts(key bpf.FrontendKey, f bpf.Frontend) []PartEntry {
	if f.Action != bpf.ActionKernel {
		return nil
	}
	switch f.Parts {
	case 0:
		return []PartEntry{{Refused: true}}
	case 1:
		return []PartEntry{d.part(1, f.Group)}
	}
	var out []PartEntry
	split := d.t.splits.rows[bpf.SplitKey{Frontend: f.Id, Family: uint32(familyOf(fromAddr(key.Vip)))}]
	before := uint32(0)
	for _, p := range split.Part[:f.Parts] {
		out = append(out, d.part(p.Upto-before, p.Group))
		before = p.Upto
	}
	return out
}

func (d dumper) part(weight, group uint32) PartEntry {
	return PartEntry{Weight: weight, Group: d.name(bpf.NameGroup, group), Refused: group == 0}
}

func (d dumper) groups() []GroupEntry {
	out := []GroupEntry{}
	for id, g := range d.t.groups.rows {
		e := GroupEntry{Group: d.name(bpf.NameGroup, id), Endpoints: []netip.AddrPort{}}
		for i := range g.N {
			e.Endpoints = append(e.Endpoints, fromEndpoint(d.t.slots.rows[bpf.SlotKey{Group: id, Index: i}]))
		}
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b GroupEntry) int { return cmp.Compare(a.Group, b.Group) })
	return out
}

func (d dumper) gateways() []GatewayEntry {
	var out []GatewayEntry
	for key, s := range d.t.steering.rows {
		at := steerOf(key)
		e := GatewayEntry{Address: netip.AddrPortFrom(at.addr, at.port), Reserved: s.Kind == bpf.SteeringReserved}
		if !at.addr.IsValid() {
			e.Address = netip.AddrPortFrom(netip.IPv6Unspecified(), at.port)
		}
		for _, port := range sortedKeysFunc(d.steers[at], model.ComparePorts) {
			e.Gateways = append(e.Gateways, port.String())
		}
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b GatewayEntry) int { return a.Address.Compare(b.Address) })
	return out
}
