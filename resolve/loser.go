package resolve

import (
	"maps"
	"slices"

	"sluice.io/sluice/resolve/gateway"
	"sluice.io/sluice/resolve/hostname"
	"sluice.io/sluice/resolve/index"
	"sluice.io/sluice/resolve/rules"
)

// settleListeners decides which of the routes of the marked listeners are left
// out because of others.
func (u *round) settleListeners() {
	for k := range u.settle {
		was, now := u.losers[k], u.losersOn(k)
		if len(now) > 0 {
			u.losers[k] = now
		} else {
			delete(u.losers, k)
		}
		for rt := range was {
			if was[rt] != now[rt] {
				u.touchLoser(k, rt)
			}
		}
		for rt := range now {
			if was[rt] != now[rt] {
				u.touchLoser(k, rt)
			}
		}
	}
}

func (u *round) touchLoser(k gateway.ListenerKey, rt *route) {
	u.touchDomains(k, rt.domains[k])
	u.report.Add(rt.Ref)
	u.report.Add(k.Parent)
	u.touchAncestors(rt)
}

// losersOn finds the routes of a listener that others shut out.
func (r *Resolver) losersOn(k gateway.ListenerKey) map[*route]loss {
	guests, ranks := r.guests[k], r.ranks[k]
	switch {
	case ranks[rules.HTTP] > 0 && ranks[rules.GRPC] > 0:
		return mixed(k, bySeniority(guests))
	case len(guests) > 1 && ranks[rules.HTTP]+ranks[rules.GRPC] == 0:
		return r.later(k, guests)
	}
	return nil
}

// rankCount counts the routes on a listener by their kinds.
type rankCount [rules.GRPC + 1]int

func (u *round) count(k gateway.ListenerKey, rt *route, by int) {
	c := u.ranks[k]
	if c[rt.Rank] += by; c == (rankCount{}) {
		delete(u.ranks, k)
	} else {
		u.ranks[k] = c
	}
}

func bySeniority(guests index.Set[*route]) []*route {
	rts := slices.Collect(maps.Keys(guests))
	slices.SortFunc(rts, (*route).senior)
	return rts
}

// mixed lets of HTTPRoutes and GRPCRoutes whose host names intersect only the
// older ones in.
func mixed(k gateway.ListenerKey, rts []*route) map[*route]loss {
	lost := map[*route]loss{}
	in := map[rules.Rank]*occupied{rules.HTTP: newOccupied(), rules.GRPC: newOccupied()}
	for _, rt := range rts {
		other := in[rules.HTTP]
		if rt.Rank == rules.HTTP {
			other = in[rules.GRPC]
		}
		if o := other.meets(rt.domains[k]); o != nil {
			lost[rt] = loss{to: o.Object.Origin}
			continue
		}
		in[rt.Rank].add(rt, rt.domains[k])
	}
	return lost
}

// occupied are the domains that some routes have.
type occupied struct {
	exactly map[string]*route
	// below holds the first route with a domain that the key covers.
	below map[string]*route
}

func newOccupied() *occupied { return &occupied{map[string]*route{}, map[string]*route{}} }

func (o *occupied) add(rt *route, ds gateway.Domains) {
	for d := range ds {
		if o.exactly[d] == nil {
			o.exactly[d] = rt
		}
		for w := range hostname.Wider(d) {
			if o.below[w] == nil {
				o.below[w] = rt
			}
		}
	}
}

// meets returns the oldest route whose domains intersect with others.
func (o *occupied) meets(ds gateway.Domains) *route {
	var first *route
	consider := func(rt *route) {
		if rt != nil && (first == nil || rt.senior(first) < 0) {
			first = rt
		}
	}
	for d := range ds {
		consider(o.below[d])
		for w := range hostname.Wider(d) {
			consider(o.exactly[w])
		}
	}
	return first
}

// later finds the routes that come second in each of their domains: connections
// cannot be told apart further, so the first takes them all.
func (r *Resolver) later(k gateway.ListenerKey, guests index.Set[*route]) map[*route]loss {
	lost := map[*route]loss{}
	for rt := range guests {
		var to *route
		for d := range rt.domains[k] {
			if to = r.first(bucket{k, d}); to == rt {
				break
			}
		}
		if to != rt {
			lost[rt] = loss{to: to.Object.Origin, older: true}
		}
	}
	return lost
}

// first returns the route that takes a bucket's connections.
func (r *Resolver) first(b bucket) *route {
	var first *route
	for rt := range r.buckets[b] {
		if first == nil || rt.beats(first, b) {
			first = rt
		}
	}
	return first
}

// beats reports whether a route goes before another in a bucket: the one with the
// more specific host name, then the older.
func (rt *route) beats(o *route, b bucket) bool {
	if c := hostname.Compare(rt.domains[b.listener][b.domain], o.domains[b.listener][b.domain]); c != 0 {
		return c < 0
	}
	return rt.senior(o) < 0
}
