package xds

import (
	"slices"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"sluice.io/sluice/model"
	"sluice.io/sluice/xds/translate"
)

// gateways are the gateways' ports and hosts as Envoy has to know them.
type gateways struct {
	ports map[model.PortKey]*port
	// doors tell whose an address is.
	doors map[translate.Door]model.PortKey
	// hosts are by port and chain, so that a port's are found.
	hosts map[model.PortKey]map[string]*chain
}

// port is a gateway's port with what was made for it.
type port struct {
	*model.GatewayPort
	doors []translate.Door
	dests []string
	// chains are those that route HTTP.
	chains []string
}

// chain holds the hosts of one chain, whether there is such a chain or not (yet).
type chain struct {
	hosts map[string]*host
}

// host is one host with what was made for it; nothing before its port is known.
type host struct {
	*model.Host
	routes *routev3.VirtualHost
	dests  []string
}

func newGateways() gateways {
	return gateways{
		ports: map[model.PortKey]*port{},
		doors: map[translate.Door]model.PortKey{},
		hosts: map[model.PortKey]map[string]*chain{},
	}
}

// gateway takes in gateways' ports and hosts that are new or changed.
func (p *plan) gateway(d *model.Delta, c *change, touched map[string]bool) {
	stale := map[translate.ChainKey]bool{}
	for k, h := range d.Hosts {
		p.host(k, h, stale)
	}
	doors := map[translate.Door]bool{}
	for k, g := range d.Ports {
		p.port(k, g, c, touched, doors, stale)
	}
	for door := range doors {
		p.open(door, c)
	}
	for k := range stale {
		p.hosts(k, c, touched)
	}
}

// host takes in one host, or its end: nothing but Envoy has to do with it, so it
// goes at once.
func (p *plan) host(k model.HostKey, h *model.Host, stale map[translate.ChainKey]bool) {
	chains := p.gateways.hosts[k.Port]
	if chains == nil {
		chains = map[string]*chain{}
		p.gateways.hosts[k.Port] = chains
	}
	ch := chains[k.Chain]
	if ch == nil {
		ch = &chain{hosts: map[string]*host{}}
		chains[k.Chain] = ch
	}
	old := ch.hosts[k.Domain]
	if old != nil {
		p.leaving.dests = append(p.leaving.dests, old.dests...)
	}
	if h != nil {
		ch.hosts[k.Domain] = &host{Host: h}
	} else {
		delete(ch.hosts, k.Domain)
		if len(ch.hosts) == 0 {
			delete(chains, k.Chain)
		}
		if len(chains) == 0 {
			delete(p.gateways.hosts, k.Port)
		}
	}
	stale[translate.ChainKey{Port: k.Port, Chain: k.Chain}] = true
}

// port takes in one port. One that is gone leaves.
func (p *plan) port(k model.PortKey, g *model.GatewayPort, c *change, touched map[string]bool, doors map[translate.Door]bool, stale map[translate.ChainKey]bool) {
	old := p.gateways.ports[k]
	if g == nil {
		if old != nil {
			p.leaving.ports[k] = true
		}
		return
	}
	delete(p.leaving.ports, k)
	now := &port{GatewayPort: g, doors: translate.Doors(g)}
	p.gateways.ports[k] = now
	for _, d := range translate.PortDestinations(g) {
		now.dests = append(now.dests, d.Name)
		p.use(d, c, touched)
	}
	for _, ch := range g.Chains {
		if ch.HTTP {
			now.chains = append(now.chains, ch.Name)
			stale[translate.ChainKey{Port: k, Chain: ch.Name}] = true
		}
	}
	for _, d := range now.doors {
		p.gateways.doors[d] = k
		delete(p.leaving.doors, d)
		doors[d] = true
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
			p.leaving.routes[translate.ChainKey{Port: old.Key, Chain: name}.Name()] = true
		}
	}
	if old.ClientCertificate != now.ClientCertificate {
		for _, ch := range p.gateways.hosts[old.Key] {
			for _, h := range ch.hosts {
				p.leaving.dests = append(p.leaving.dests, h.dests...)
				h.routes, h.dests = nil, nil
			}
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

// hosts makes the routes of a chain, and the clusters that they are the first to
// need.
func (p *plan) hosts(k translate.ChainKey, c *change, touched map[string]bool) {
	g := p.gateways.ports[k.Port]
	if g == nil || !slices.Contains(g.chains, k.Chain) {
		return
	}
	var all []*routev3.VirtualHost
	if ch := p.gateways.hosts[k.Port][k.Chain]; ch != nil {
		for _, h := range ch.hosts {
			if h.routes == nil {
				p.routeHost(h, g, c, touched)
			}
			all = append(all, h.routes)
		}
	}
	var parents []key
	for _, d := range g.doors {
		parents = append(parents, key{listeners, d.Name()})
	}
	delete(p.leaving.routes, k.Name())
	c.put(routes, k.Name(), translate.Hosts(k, all), g.Origin, parents...)
}

func (p *plan) routeHost(h *host, g *port, c *change, touched map[string]bool) {
	v, dests := translate.Host(h.Host, g.ClientCertificate)
	h.routes = v
	for _, d := range dests {
		h.dests = append(h.dests, d.Name)
		p.use(d, c, touched)
	}
}

// dropPorts removes the ports that are leaving, and addresses that ports have
// left.
func (p *plan) dropPorts(l *leaving, c *change) {
	for k := range l.ports {
		g := p.gateways.ports[k]
		delete(p.gateways.ports, k)
		l.dests = append(l.dests, g.dests...)
		for _, d := range g.doors {
			l.doors[d] = k
		}
		for _, name := range g.chains {
			c.remove(routes, translate.ChainKey{Port: k, Chain: name}.Name())
		}
		for _, ch := range p.gateways.hosts[k] {
			for _, h := range ch.hosts { // those that nobody took away: as if there were no port yet
				l.dests = append(l.dests, h.dests...)
				h.routes, h.dests = nil, nil
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
