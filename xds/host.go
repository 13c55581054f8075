package xds

import (
	"slices"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"sluice.io/sluice/model"
	"sluice.io/sluice/xds/translate"
)

// chain holds the hosts of one chain.
type chain struct {
	hosts map[string]*host
	// published are the domains that have resources, the wide ones as one.
	published map[string]bool
}

// host is one host with what was made for it: nothing before its port is known.
type host struct {
	*model.Host
	dests []string
	// made tells that the routes were made; those that share a resource are kept.
	made   bool
	routes *routev3.VirtualHost
}

// wideHosts stands for all domains of a chain that are not exact: they share
// resources.
const wideHosts = "*"

// forget drops what was made for the hosts, and returns the destinations that
// they used.
func (ch *chain) forget() (dests []string) {
	for _, h := range ch.hosts {
		dests = append(dests, h.dests...)
		h.routes, h.dests, h.made = nil, nil, false
	}
	return dests
}

func (g *gateways) chain(k translate.ChainKey) *chain {
	chains := g.chains[k.Port]
	if chains == nil {
		chains = map[string]*chain{}
		g.chains[k.Port] = chains
	}
	if chains[k.Chain] == nil {
		chains[k.Chain] = &chain{hosts: map[string]*host{}, published: map[string]bool{}}
	}
	return chains[k.Chain]
}

// tidy forgets a chain that has nothing.
func (g *gateways) tidy(k translate.ChainKey) {
	chains := g.chains[k.Port]
	if ch := chains[k.Chain]; ch != nil && len(ch.hosts)+len(ch.published) == 0 {
		delete(chains, k.Chain)
	}
	if len(chains) == 0 {
		delete(g.chains, k.Port)
	}
}

// host takes in one host, or its end.
func (p *plan) host(k model.HostKey, h *model.Host, r *renewal) {
	chainKey := translate.ChainKey{Port: k.Port, Chain: k.Chain}
	ch := p.gateways.chain(chainKey)
	if old := ch.hosts[k.Domain]; old != nil {
		p.leaving.dests = append(p.leaving.dests, old.dests...)
	}
	if h != nil {
		ch.hosts[k.Domain] = &host{Host: h}
	} else {
		delete(ch.hosts, k.Domain)
	}
	r.host(chainKey, k.Domain)
}

// hosts makes the resources of some domains of a chain, and the clusters that they
// are the first to need. Those of domains that are gone go at once: nothing but
// Envoy has to do with them.
func (p *plan) hosts(k translate.ChainKey, domains map[string]bool, c *change, touched map[string]bool) {
	defer p.gateways.tidy(k)
	ch, g := p.gateways.chain(k), p.gateways.ports[k.Port]
	if g == nil || !slices.Contains(g.chains, k.Chain) {
		return
	}
	others := domains[everyHost] && !ch.published[wideHosts]
	if domains[everyHost] {
		for name, h := range ch.hosts {
			if !h.made { // what is made stays as it is
				domains[name] = true
			}
		}
	}
	delete(domains, everyHost)
	for name := range domains {
		if !translate.Exact(name) {
			others = true
		}
		switch h := ch.hosts[name]; {
		case h != nil:
			p.routeHost(k, h, g, c, touched)
		case ch.published[name] && translate.Exact(name):
			delete(ch.published, name)
			c.remove(scopes, k.ScopeName(name))
			c.remove(routes, k.ScopeName(name))
		}
	}
	if others {
		p.wideHosts(k, ch, g, c)
	}
}

func (p *plan) wideHosts(k translate.ChainKey, ch *chain, g *port, c *change) {
	var all []*routev3.VirtualHost
	for name, h := range ch.hosts {
		if !translate.Exact(name) {
			all = append(all, h.routes)
		}
	}
	p.scope(k, wideHosts, translate.WideHosts(k, all), g.Origin, g, c)
	upper := translate.FoldScope()
	c.put(scopes, upper.GetName(), upper, model.Origin{Rule: -1}, g.listeners()...)
	c.put(routes, upper.GetName(), translate.Fold(), model.Origin{Rule: -1}, key{scopes, upper.GetName()})
}

// routeHost makes the routes of a host, and its resources if it is exact.
func (p *plan) routeHost(k translate.ChainKey, h *host, g *port, c *change, touched map[string]bool) {
	v, dests := translate.Host(h.Host, g.ClientCertificate)
	for _, d := range dests {
		h.dests = append(h.dests, d.Name)
		p.use(d, touched)
	}
	h.made = true
	if translate.Exact(h.Key.Domain) {
		p.scope(k, h.Key.Domain, translate.ExactHost(k, v), h.Origin, g, c)
	} else {
		h.routes = v
	}
}

// scope makes the scope and the routes of a domain.
func (p *plan) scope(k translate.ChainKey, domain string, rc *routev3.RouteConfiguration, origin model.Origin, g *port, c *change) {
	p.gateways.chain(k).published[domain] = true
	name := k.ScopeName(domain)
	p.stay(func(l *leaving) { delete(l.scopes, name) })
	c.put(scopes, name, translate.Scope(k, domain), origin, g.listeners()...)
	c.put(routes, name, rc, origin, key{scopes, name})
}

// endChain forgets what was made for a chain's hosts, and returns the names of the
// resources and the destinations that they used.
func (p *plan) endChain(k translate.ChainKey) (names, dests []string) {
	ch := p.gateways.chain(k)
	for name := range ch.published {
		names = append(names, k.ScopeName(name))
	}
	clear(ch.published)
	dests = ch.forget()
	p.gateways.tidy(k)
	return names, dests
}

// listeners are those that ask for a port's routes.
func (g *port) listeners() []key {
	out := make([]key, len(g.doors))
	for i, d := range g.doors {
		out[i] = key{listeners, d.Name()}
	}
	return out
}
