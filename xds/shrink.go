package xds

import (
	"net/netip"

	"sluice.io/sluice/model"
)

// stay takes back that something is to leave.
func (p *plan) stay(take func(*leaving)) {
	take(&p.leaving)
	take(&p.due)
}

// idle tells that there is nothing that a shrink would remove, now or next time.
func (p *plan) idle() bool {
	return p.leaving.empty() && p.due.empty() && len(p.secrets.idle) == 0
}

func (l *leaving) empty() bool {
	return len(l.frontends)+len(l.vips)+len(l.backends)+len(l.endpoints)+len(l.dests)+len(l.routes)+len(l.scopes)+
		len(l.workloads)+len(l.moved)+len(l.mounts)+len(l.ports)+len(l.doors) == 0
}

// shrink removes what had been noted as leaving by the last shrink, and has not
// come back.
func (p *plan) shrink() *change {
	c := newChange()
	l := p.due
	p.due, p.leaving = p.leaving, newLeaving()
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
	if f == nil {
		return
	}
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
