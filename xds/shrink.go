package xds

import (
	"net/netip"

	"sluice.io/sluice/model"
)

// note marks what a delta removes as leaving, and takes nothing in.
func (p *plan) note(d *model.Delta) {
	for k, f := range d.Frontends {
		if p.frontends[k] != nil && (f == nil || f.HTTP == nil) {
			p.leaving.frontends[k] = true
		}
	}
	for k, w := range d.Workloads {
		if p.pods[k] != nil && (w == nil || w.Place == nil) {
			p.leaving.workloads[k] = true
		}
	}
	for k, port := range d.Ports {
		if port == nil && p.gateways.ports[k] != nil {
			p.leaving.ports[k] = true
		}
	}
	for k, b := range d.Backends {
		if b == nil {
			p.leaving.backends[k] = true
		}
	}
	for k, e := range d.Endpoints {
		if e == nil {
			p.leaving.endpoints[k] = true
		}
	}
}

// shrink removes all that was noted as leaving.
func (p *plan) shrink() *change {
	c := newChange()
	l := p.leaving
	p.leaving = newLeaving()
	for k := range l.frontends {
		p.dropFrontend(k, &l, c)
	}
	vips := map[netip.AddrPort]bool{}
	for vip, keys := range l.vips {
		for k := range keys {
			delete(p.vips[vip], k)
			vips[vip] = true
		}
	}
	for vip := range vips {
		p.listen(vip, c)
	}
	for name := range l.routes {
		c.remove(routes, name)
	}
	for name := range l.scopes {
		c.remove(scopes, name)
		c.remove(routes, name)
	}
	p.dropPorts(&l, c)
	p.dropWorkloads(&l, c)
	for k := range l.backends {
		delete(p.backends, k)
	}
	for k := range l.endpoints {
		delete(p.endpoints, k)
		p.assignments(k, c)
	}
	for _, name := range l.dests {
		p.release(name, c)
	}
	p.secrets.sweep(c)
	return c
}

func (p *plan) dropFrontend(k model.FrontendKey, l *leaving, c *change) {
	f := p.frontends[k]
	delete(p.frontends, k)
	for _, addr := range f.VIPs {
		vip := netip.AddrPortFrom(addr.Unmap(), k.Port)
		if p.vips[vip][k] {
			if l.vips[vip] == nil {
				l.vips[vip] = map[model.FrontendKey]bool{}
			}
			l.vips[vip][k] = true
		}
	}
	l.dests = append(l.dests, f.dests...)
	for _, name := range f.routes {
		c.remove(routes, name)
	}
}

// release counts one use of a destination less, and removes it with the last.
func (p *plan) release(name string, c *change) {
	d := p.dests[name]
	if d.uses--; d.uses > 0 {
		return
	}
	delete(p.dests, name)
	p.unlink(d)
	c.remove(clusters, name)
	c.remove(endpoints, name)
	p.secrets.ask(key{clusters, name}, nil)
}
