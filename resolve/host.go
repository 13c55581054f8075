package resolve

import (
	"reflect"
	"slices"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/hostname"
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/resolve/rules"
)

// maxMisdirected bounds how many listeners of a port each other one knows by
// name. With more, every foreign name counts as another listener's: to name them
// all would cost the square of their number.
const maxMisdirected = 128

// owner returns the listener of a port that a domain belongs to: the most
// specific one.
func (p *portFrame) owner(domain string) *listener {
	for d := range hostname.Wider(domain) {
		if l := p.byDomain[d]; l != nil {
			return l
		}
	}
	return nil
}

// touchHosts marks the hosts that two frames do not serve alike.
func (u *round) touchHosts(before, after *frame) {
	var was, is map[model.PortKey]*portFrame
	if before != nil {
		was = before.ports
	}
	if after != nil {
		is = after.ports
	}
	for k, p := range was {
		u.touchPort(k, p, is[k])
	}
	for k, p := range is {
		if was[k] == nil {
			u.touchPort(k, nil, p)
		}
	}
}

// touchPort marks the hosts of a port whose domains belong to listeners that
// changed: those that there are, and those that there may be now.
func (u *round) touchPort(k model.PortKey, was, is *portFrame) {
	changed := changedDomains(was, is)
	touches := func(domain string) bool {
		return slices.ContainsFunc(changed, func(c string) bool { return hostname.Covers(c, domain) })
	}
	if len(changed) == 0 {
		return
	}
	for h := range u.hostsAt[k] {
		if touches(h.Domain) || is == nil || is.byChain[h.Chain] == nil {
			u.hostsTouched.Add(h)
		}
	}
	if is == nil {
		return
	}
	for _, l := range is.listeners {
		if !l.byHost() {
			continue
		}
		for rt := range u.guests[l.listenerKey] {
			for d := range rt.domains[l.listenerKey] {
				if touches(d) {
					u.hostsTouched.Add(l.hostKey(d))
				}
			}
		}
		for _, d := range changed {
			u.hostsTouched.Add(l.hostKey(d))
		}
		if was.has(l) {
			continue
		}
		u.hostsTouched.Add(l.hostKey(l.domain))
		for _, d := range is.foreign(l) {
			u.hostsTouched.Add(l.hostKey(d))
		}
	}
}

// has reports whether a listener is served on the port as it is.
func (p *portFrame) has(l *listener) bool {
	return p != nil && p.byDomain[l.domain] != nil && l.servesAs(p.byDomain[l.domain])
}

// changedDomains lists the domains of the listeners that only one of two states of
// a port has.
func changedDomains(a, b *portFrame) []string {
	if a != nil && b != nil && (len(a.listeners) > maxMisdirected) != (len(b.listeners) > maxMisdirected) {
		return []string{hostname.Any} // what listeners know of each other changes
	}
	return append(a.without(b), b.without(a)...)
}

// without lists the domains of the listeners that another state of the port does
// not have as they are.
func (p *portFrame) without(o *portFrame) []string {
	if p == nil {
		return nil
	}
	var ds []string
	for _, l := range p.listeners {
		if !o.has(l) {
			ds = append(ds, l.domain)
		}
	}
	return ds
}

// servesAs reports whether hosts are made alike for two states of a listener.
func (l *listener) servesAs(o *listener) bool {
	return l.listenerKey == o.listenerKey && l.origin == o.origin && l.same(o)
}

// crowded tells that a listener does not know all others of its port by name.
func (p *portFrame) crowded(l *listener) bool {
	return len(p.listeners) > maxMisdirected && l.domain != hostname.Any
}

// foreign lists the domains that requests on a listener's connections must not
// have, as they belong to other listeners of the port.
func (p *portFrame) foreign(l *listener) []string {
	var ds []string
	if p.crowded(l) {
		ds = append(ds, hostname.Any)
	}
	for _, o := range p.listeners {
		if o != l && (!p.crowded(l) || hostname.Covers(l.domain, o.domain)) {
			ds = append(ds, o.domain)
		}
	}
	return ds
}

// updateHosts makes the marked hosts.
func (u *round) updateHosts() {
	for k := range u.hostsTouched {
		h := u.makeHost(k)
		was := u.made.Hosts[k]
		switch {
		case h == nil && was != nil:
			u.delta.Hosts[k] = nil
			u.hostsAt.Remove(k.Port, k)
		case h != nil && (was == nil || !reflect.DeepEqual(was, h)):
			u.delta.Hosts[k] = h
			u.hostsAt.Add(k.Port, k)
		}
	}
}

// makeHost makes what becomes of one domain on one chain of a gateway's port;
// nil when there is nothing to say of it.
func (r *Resolver) makeHost(k model.HostKey) *model.Host {
	f := r.frames[object.Name{Namespace: k.Port.Gateway.Namespace, Name: k.Port.Gateway.Name}]
	if f == nil || f.ports[k.Port] == nil {
		return nil
	}
	p := f.ports[k.Port]
	chain := p.byChain[k.Chain]
	if chain == nil || !chain.byHost() {
		return nil
	}
	owner := p.owner(k.Domain)
	if owner != nil && (owner == chain || k.Chain == plainChain) {
		return r.ownHost(k, owner)
	}
	if k.Chain == plainChain {
		return nil
	}
	if other := p.byDomain[k.Domain]; other != nil && (!p.crowded(chain) || hostname.Covers(chain.domain, k.Domain)) {
		return &model.Host{Key: k, Misdirected: true, Origin: other.origin}
	}
	if k.Domain == hostname.Any && p.crowded(chain) {
		return &model.Host{Key: k, Misdirected: true, Origin: chain.origin}
	}
	return nil
}

// ownHost makes a host of the listener that the domain belongs to. A listener's
// own domain always has one, so that requests never fall to a wider listener.
func (r *Resolver) ownHost(k model.HostKey, l *listener) *model.Host {
	h := &model.Host{Key: k, Origin: l.origin}
	var rts []*route
	for rt := range r.buckets[bucket{l.listenerKey, k.Domain}] {
		if _, lost := r.losers[l.listenerKey][rt]; !lost {
			rts = append(rts, rt)
		}
	}
	if len(rts) == 0 {
		if l.domain != k.Domain {
			return nil
		}
		return h
	}
	slices.SortFunc(rts, func(a, b *route) int { return a.Compare(b.Seniority) })
	shares := make([]rules.Share, len(rts))
	for i, rt := range rts {
		shares[i] = rules.Share{Compiled: rt.served, Host: rt.domains[l.listenerKey][k.Domain]}
	}
	h.HTTP = &model.HTTPRouting{
		GRPC:    !slices.ContainsFunc(rts, func(rt *route) bool { return rt.Rank != rules.GRPC }),
		Entries: rules.Merge(shares, rules.Dialled{Port: l.port, TLS: l.secure()}),
	}
	return h
}
