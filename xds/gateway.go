package xds

import (
	"slices"

	"sluice.io/sluice/model"
	"sluice.io/sluice/xds/translate"
)

// gateways are the gateways' ports and hosts as Envoy has to know them.
type gateways struct {
	ports map[model.PortKey]*port
	// doors tell whose an address is.
	doors map[translate.Door]model.PortKey
	// chains are by port, so that a port's are found. There may be one whose port
	// is not there (yet).
	chains map[model.PortKey]map[string]*chain
}

// port is a gateway's port with what was made for it.
type port struct {
	*model.GatewayPort
	doors []translate.Door
	dests []string
	// chains are those that route HTTP.
	chains []string
}

func newGateways() gateways {
	return gateways{
		ports:  map[model.PortKey]*port{},
		doors:  map[translate.Door]model.PortKey{},
		chains: map[model.PortKey]map[string]*chain{},
	}
}

// renewal is what has to be made anew of gateways.
type renewal struct {
	doors map[translate.Door]bool
	// hosts are the domains whose routes changed, by chain; all are, if everyHost is
	// among them.
	hosts map[translate.ChainKey]map[string]bool
}

const everyHost = ""

func (r *renewal) host(k translate.ChainKey, domain string) {
	if r.hosts[k] == nil {
		r.hosts[k] = map[string]bool{}
	}
	r.hosts[k][domain] = true
}

// gateway takes in gateways' ports and hosts that are new or changed.
func (p *plan) gateway(d *model.Delta, c *change, touched map[string]bool) {
	r := &renewal{doors: map[translate.Door]bool{}, hosts: map[translate.ChainKey]map[string]bool{}}
	for k, h := range d.Hosts {
		p.host(k, h, r)
	}
	for k, g := range d.Ports {
		p.port(k, g, r, touched)
	}
	for k, domains := range r.hosts {
		p.hosts(k, domains, c, touched)
	}
	for door := range r.doors {
		p.open(door, c)
	}
}

// port takes in one port. One that is gone leaves.
func (p *plan) port(k model.PortKey, g *model.GatewayPort, r *renewal, touched map[string]bool) {
	old := p.gateways.ports[k]
	if g == nil {
		if old != nil {
			p.leaving.ports[k] = true
		}
		return
	}
	p.stay(func(l *leaving) { delete(l.ports, k) })
	now := &port{GatewayPort: g, doors: translate.Doors(g)}
	p.gateways.ports[k] = now
	for _, d := range translate.PortDestinations(g) {
		now.dests = append(now.dests, d.Name)
		p.use(d, touched)
	}
	for _, ch := range g.Chains {
		if ch.HTTP {
			now.chains = append(now.chains, ch.Name)
			r.host(translate.ChainKey{Port: k, Chain: ch.Name}, everyHost)
		}
	}
	for _, d := range now.doors {
		p.gateways.doors[d] = k
		p.stay(func(l *leaving) { delete(l.doors, d) })
		r.doors[d] = true
	}
	if old != nil {
		p.replaced(old, now)
	}
}

// replaced notes what a port no longer has.
func (p *plan) replaced(old, now *port) {
	p.leaving.dests = append(p.leaving.dests, old.dests...)
	for _, d := range old.doors {
		if !slices.Contains(now.doors, d) {
			p.leaving.doors[d] = old.Key
		}
	}
	for _, name := range old.chains {
		if !slices.Contains(now.chains, name) {
			names, dests := p.endChain(translate.ChainKey{Port: old.Key, Chain: name})
			p.leaving.dests = append(p.leaving.dests, dests...)
			for _, n := range names {
				p.leaving.scopes[n] = true
			}
		}
	}
	if old.ClientCertificate != now.ClientCertificate {
		for _, ch := range p.gateways.chains[old.Key] {
			p.leaving.dests = append(p.leaving.dests, ch.forget()...)
		}
	}
}

// open makes the listener of an address, and with the first one those that
// connections come in by.
func (p *plan) open(d translate.Door, c *change) {
	g := p.gateways.ports[p.gateways.doors[d]]
	if d.Protocol == model.TCP {
		for _, l := range translate.Entries() {
			c.put(listeners, l.GetName(), l, model.Origin{Rule: -1})
		}
	}
	c.put(listeners, d.Name(), translate.Gateway(d, g.GatewayPort), g.Origin)
	p.secrets.ask(key{listeners, d.Name()}, translate.PortSecrets(g.GatewayPort))
}

// dropPorts removes the ports that are leaving, and addresses that ports have
// left.
func (p *plan) dropPorts(l *leaving, c *change) {
	for k := range l.ports {
		g := p.gateways.ports[k]
		if g == nil {
			continue
		}
		delete(p.gateways.ports, k)
		l.dests = append(l.dests, g.dests...)
		for _, d := range g.doors {
			l.doors[d] = k
		}
		for _, name := range g.chains {
			names, dests := p.endChain(translate.ChainKey{Port: k, Chain: name})
			l.dests = append(l.dests, dests...)
			for _, n := range names {
				c.remove(scopes, n)
				c.remove(routes, n)
			}
		}
	}
	for d, k := range l.doors {
		if p.gateways.doors[d] == k {
			delete(p.gateways.doors, d)
			c.remove(listeners, d.Name())
			p.secrets.ask(key{listeners, d.Name()}, nil)
		}
	}
	if len(l.doors) > 0 && !p.gateways.takesTCP() {
		for _, e := range translate.Entries() {
			c.remove(listeners, e.GetName())
		}
		upper := translate.FoldScope().GetName()
		c.remove(scopes, upper)
		c.remove(routes, upper)
	}
}

func (g *gateways) takesTCP() bool {
	for d := range g.doors {
		if d.Protocol == model.TCP {
			return true
		}
	}
	return false
}
