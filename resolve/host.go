package resolve

import (
	"slices"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/gateway"
	"sluice.io/sluice/resolve/hostname"
	"sluice.io/sluice/resolve/rules"
)

// touchHosts marks the hosts that two frames do not serve alike.
func (u *round) touchHosts(before, after *gateway.Frame) {
	var was, is map[model.PortKey]*gateway.Port
	if before != nil {
		was = before.Ports
	}
	if after != nil {
		is = after.Ports
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
func (u *round) touchPort(k model.PortKey, was, is *gateway.Port) {
	changed := gateway.ChangedDomains(was, is)
	touches := func(domain string) bool {
		return slices.ContainsFunc(changed, func(c string) bool { return hostname.Covers(c, domain) })
	}
	if len(changed) == 0 {
		return
	}
	for h := range u.hostsAt[k] {
		if touches(h.Domain) || is == nil || is.ByChain[h.Chain] == nil {
			u.hostsTouched.Add(h)
		}
	}
	if is == nil {
		return
	}
	for _, l := range is.Listeners {
		if !l.ByHost() {
			continue
		}
		for rt := range u.guests[l.ListenerKey] {
			for d := range rt.domains[l.ListenerKey] {
				if touches(d) {
					u.hostsTouched.Add(l.HostKey(d))
				}
			}
		}
		for _, d := range changed {
			u.hostsTouched.Add(l.HostKey(d))
		}
		if was.Has(l) {
			continue
		}
		u.hostsTouched.Add(l.HostKey(l.Domain))
		for _, d := range is.Foreign(l) {
			u.hostsTouched.Add(l.HostKey(d))
		}
	}
}

// updateHosts makes the marked hosts.
func (u *round) updateHosts() {
	for k := range u.hostsTouched {
		h := u.makeHost(k)
		emit(u.delta.Hosts, u.made.Hosts, k, h)
		if h == nil {
			u.hostsAt.Remove(k.Port, k)
		} else {
			u.hostsAt.Add(k.Port, k)
		}
	}
}

// makeHost makes what becomes of one domain on one chain of a gateway's port;
// nil when there is nothing to say of it.
func (r *Resolver) makeHost(k model.HostKey) *model.Host {
	f := r.frames[gatewayName(k.Port)]
	if f == nil || f.Ports[k.Port] == nil {
		return nil
	}
	serves, misdirected := f.Ports[k.Port].Place(k)
	switch {
	case serves != nil:
		return r.ownHost(k, serves)
	case misdirected != nil:
		return &model.Host{Key: k, Misdirected: true, Origin: misdirected.Origin}
	}
	return nil
}

// ownHost makes a host of the listener that the domain belongs to. A listener's
// own domain always has one, so that requests never fall to a wider listener.
func (r *Resolver) ownHost(k model.HostKey, l *gateway.Listener) *model.Host {
	h := &model.Host{Key: k, Origin: l.Origin}
	var rts []*route
	for rt := range r.buckets[bucket{l.ListenerKey, k.Domain}] {
		if _, lost := r.losers[l.ListenerKey][rt]; !lost {
			rts = append(rts, rt)
		}
	}
	if len(rts) == 0 {
		if l.Domain != k.Domain {
			return nil
		}
		return h
	}
	slices.SortFunc(rts, func(a, b *route) int { return a.Compare(b.Seniority) })
	shares := make([]rules.Share, len(rts))
	for i, rt := range rts {
		shares[i] = rules.Share{Compiled: rt.served, Host: rt.domains[l.ListenerKey][k.Domain]}
	}
	h.HTTP = &model.HTTPRouting{
		GRPC:    !slices.ContainsFunc(rts, func(rt *route) bool { return rt.Rank != rules.GRPC }),
		Entries: rules.Merge(shares, rules.Dialled{Port: l.Port, TLS: l.Secure()}),
	}
	return h
}
