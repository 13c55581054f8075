package gateway

import (
	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/hostname"
)

// Port is one port of a gateway with the listeners that are served on it.
type Port struct {
	Key       model.PortKey
	Listeners []*Listener
	ByChain   map[string]*Listener

	byDomain map[string]*Listener
}

// maxMisdirected bounds how many listeners of a port each other one knows by
// name. With more, every foreign name counts as another listener's: to name them
// all would cost the square of their number.
const maxMisdirected = 128

// Owner returns the listener of a port that a domain belongs to: the most
// specific one.
func (p *Port) Owner(domain string) *Listener {
	for d := range hostname.Wider(domain) {
		if l := p.byDomain[d]; l != nil {
			return l
		}
	}
	return nil
}

// Has reports whether a listener is served on the port as it is.
func (p *Port) Has(l *Listener) bool {
	return p != nil && p.byDomain[l.Domain] != nil && l.servesAs(p.byDomain[l.Domain])
}

// ChangedDomains lists the domains of the listeners that only one of two states of
// a port has.
func ChangedDomains(a, b *Port) []string {
	if a != nil && b != nil && (len(a.Listeners) > maxMisdirected) != (len(b.Listeners) > maxMisdirected) {
		return []string{hostname.Any} // what listeners know of each other changes
	}
	return append(a.without(b), b.without(a)...)
}

// without lists the domains of the listeners that another state of the port does
// not have as they are.
func (p *Port) without(o *Port) []string {
	if p == nil {
		return nil
	}
	var ds []string
	for _, l := range p.Listeners {
		if !o.Has(l) {
			ds = append(ds, l.Domain)
		}
	}
	return ds
}

// servesAs reports whether hosts are made alike for two states of a listener.
func (l *Listener) servesAs(o *Listener) bool {
	return l.ListenerKey == o.ListenerKey && l.Origin == o.Origin && l.same(o)
}

// crowded tells that a listener does not know all others of its port by name.
func (p *Port) crowded(l *Listener) bool {
	return len(p.Listeners) > maxMisdirected && l.Domain != hostname.Any
}

// Foreign lists the domains that requests on a listener's connections must not
// have, as they belong to other listeners of the port.
func (p *Port) Foreign(l *Listener) []string {
	var ds []string
	if p.crowded(l) {
		ds = append(ds, hostname.Any)
	}
	for _, o := range p.Listeners {
		if o != l && (!p.crowded(l) || hostname.Covers(l.Domain, o.Domain)) {
			ds = append(ds, o.Domain)
		}
	}
	return ds
}

// Place tells which listener serves requests for a domain on a chain of the port, or
// else which one they are misdirected for: that the domain is another's, or when
// there are too many to name them, not the chain's own. Neither when there is
// nothing to say.
func (p *Port) Place(k model.HostKey) (serves, misdirected *Listener) {
	chain := p.ByChain[k.Chain]
	if chain == nil || !chain.ByHost() {
		return nil, nil
	}
	owner, plain := p.Owner(k.Domain), chain.layer() == plainLayer
	switch {
	case owner != nil && (owner == chain || plain):
		return owner, nil
	case plain:
		return nil, nil
	}
	if other := p.byDomain[k.Domain]; other != nil && (!p.crowded(chain) || hostname.Covers(chain.Domain, k.Domain)) {
		return nil, other
	}
	if k.Domain == hostname.Any && p.crowded(chain) {
		return nil, chain
	}
	return nil, nil
}
