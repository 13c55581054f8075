package redirect

import (
	"cmp"
	"net/netip"

	"sluice.io/sluice/bpf"
	"sluice.io/sluice/model"
)

// steerKey is an address and port of the node; the zero address stands for all.
type steerKey struct {
	addr netip.Addr
	port uint16
}

// claims are the gateways' ports that are dialled at an address and port.
type claims map[steerKey]map[model.PortKey]bool

// mergePort notes what is steered to a gateway's port. Connections only: Envoy
// has UDP sockets of its own at gateways' addresses.
func (p *planner) mergePort(key model.PortKey, g *model.GatewayPort) {
	if old := p.ports[key]; old != nil {
		for _, at := range steersOf(old) {
			delete(p.steers[at], key)
			if len(p.steers[at]) == 0 {
				delete(p.steers, at)
			}
			p.dirtySteers[at] = true
		}
		delete(p.ports, key)
	}
	if g == nil || key.Protocol != model.TCP {
		return
	}
	p.ports[key] = g
	for _, at := range steersOf(g) {
		if p.steers[at] == nil {
			p.steers[at] = map[model.PortKey]bool{}
		}
		p.steers[at][key] = true
		p.dirtySteers[at] = true
	}
}

// steersOf returns where a gateway's port is dialled: at its addresses, at the
// nodes' own by a load balancer that stands before them, and, when there is
// neither, at every address of the node. A target that gateways may not have is
// none, and does not make it every address.
func steersOf(g *model.GatewayPort) []steerKey {
	var at []steerKey
	for _, addr := range g.Addresses {
		at = append(at, steerKey{addr.Unmap(), g.Key.Port})
	}
	switch {
	case g.Target >= model.FirstTarget && g.Target <= model.LastTarget:
		at = append(at, steerKey{port: g.Target})
	case g.Target == 0 && len(at) == 0:
		at = append(at, steerKey{port: g.Key.Port})
	}
	return at
}

// ownPort is where Envoy listens for gateways.
var ownPort = steerKey{port: InboundPort}

// planSteer writes whether connections are a gateway's. As long as any are,
// Envoy's own port is kept for it.
func (p *planner) planSteer(ops *[]op, at steerKey) {
	want := p.steering(at)
	if want == (bpf.Steering{}) {
		p.have.steering.drop(ops, phaseDropSteering, at.entry())
		return
	}
	p.have.steering.put(ops, phaseSteering, at.entry(), want)
}

func (p *planner) steering(at steerKey) bpf.Steering {
	switch {
	case len(p.steers[at]) > 0:
		return bpf.Steering{Kind: bpf.SteeringEnvoy}
	case at == ownPort && len(p.ports) > 0:
		return bpf.Steering{Kind: bpf.SteeringReserved}
	}
	return bpf.Steering{}
}

func (k steerKey) entry() bpf.SteeringKey {
	e := bpf.SteeringKey{Port: toPort(k.port), Proto: protoTCP}
	if k.addr.IsValid() {
		e.Ip = toAddr(k.addr)
	}
	return e
}

func steerOf(e bpf.SteeringKey) steerKey {
	k := steerKey{port: fromPort(e.Port)}
	if e.Ip != (bpf.Addr{}) {
		k.addr = fromAddr(e.Ip)
	}
	return k
}

func (p *planner) sweepSteering(ops *[]op) {
	for key := range p.have.steering.rows {
		if p.steering(steerOf(key)) == (bpf.Steering{}) {
			p.have.steering.drop(ops, phaseDropSteering, key)
		}
	}
}

func steerOrder(a, b steerKey) int {
	return cmp.Or(a.addr.Compare(b.addr), cmp.Compare(a.port, b.port))
}
