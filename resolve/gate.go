package resolve

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/gateway"
	"sluice.io/sluice/resolve/hostname"
	"sluice.io/sluice/resolve/index"
	"sluice.io/sluice/resolve/rules"
)

// gate is a parentRef that names a Gateway or a ListenerSet.
type gate struct {
	ref     int // its index among the parentRefs
	parent  model.ObjectRef
	port    uint16 // zero: all
	section string // the listener's name; empty: all
}

// wish describes the listeners that the parentRef asks for.
func (g gate) wish() string {
	var parts []string
	if g.section != "" {
		parts = append(parts, strconv.Quote(g.section))
	}
	if g.port != 0 {
		parts = append(parts, fmt.Sprintf("on port %d", g.port))
	}
	if len(parts) == 0 {
		return "at all"
	}
	return strings.Join(parts, " ")
}

// admission is what a gate came to.
type admission struct {
	ours      bool
	refused   *finding.Finding
	listeners []gateway.ListenerKey
}

// enter decides on which listeners of a parent a route is.
func (r *Resolver) enter(g gate, rt *route) (admission, map[gateway.ListenerKey]gateway.Domains) {
	p := r.parentAt[g.parent]
	if p == nil {
		return admission{}, nil
	}
	a := admission{ours: true}
	if p.Refused != nil {
		a.refused = finding.New(finding.NoMatchingParent, "%s is not attached to its Gateway: %s", p.Ref, p.Refused.Message)
		return a, nil
	}
	in := map[gateway.ListenerKey]gateway.Domains{}
	named, open := false, false
	for _, l := range p.Listeners {
		if g.port != 0 && g.port != l.Port || g.section != "" && g.section != l.Name {
			continue
		}
		named = true
		if !l.Admits(rt.Ref, r.labelsOf) {
			continue
		}
		open = true
		if ds := l.DomainsOf(rt.Hostnames); len(ds) > 0 {
			in[l.ListenerKey] = ds
			a.listeners = append(a.listeners, l.ListenerKey)
		}
	}
	switch {
	case !named:
		a.refused = finding.New(finding.NoMatchingParent, "%s has no listener %s", p.Ref, g.wish())
	case !open:
		a.refused = finding.New(string(gatewayv1.RouteReasonNotAllowedByListeners),
			"no listener of %s lets %ss of namespace %s in: see allowedRoutes", p.Ref, rt.Ref.Kind, rt.Ref.Namespace)
	case len(in) == 0:
		a.refused = finding.New(string(gatewayv1.RouteReasonNoMatchingListenerHostname),
			"none of the route's hostnames is one of a listener's of %s", p.Ref)
	}
	return a, in
}

// enterGates attaches a route to gateways anew, and marks what that touches.
func (u *round) enterGates(rt *route) {
	in := map[gateway.ListenerKey]gateway.Domains{}
	rt.admissions = rt.admissions[:0]
	for _, g := range rt.gates {
		a, ds := u.enter(g, rt)
		rt.admissions = append(rt.admissions, a)
		if rt.served.Rejected == nil {
			maps.Copy(in, ds)
		}
	}
	u.moveGuest(rt, in)
}

// moveGuest changes the listeners and domains that a route has. All its domains
// are marked, those that it keeps too: what the route says there may be new.
func (u *round) moveGuest(rt *route, in map[gateway.ListenerKey]gateway.Domains) {
	for k, ds := range rt.domains {
		u.touchDomains(k, ds)
		if maps.Equal(ds, in[k]) && in[k] != nil {
			continue
		}
		u.guests.Remove(k, rt)
		u.count(k, rt, -1)
		for d := range ds {
			u.buckets.Remove(bucket{k, d}, rt)
		}
		u.settle.Add(k)
		u.report.Add(k.Parent)
	}
	for k, ds := range in {
		if maps.Equal(ds, rt.domains[k]) && rt.domains[k] != nil {
			continue
		}
		u.guests.Add(k, rt)
		u.count(k, rt, 1)
		for d := range ds {
			u.buckets.Add(bucket{k, d}, rt)
		}
		u.touchDomains(k, ds)
		u.settle.Add(k)
		u.report.Add(k.Parent)
	}
	rt.domains = in
	u.touchAncestors(rt)
}

// bucket is one domain of one listener: the routes in it are merged.
type bucket struct {
	listener gateway.ListenerKey
	domain   string
}

// touchDomains marks what is made of a listener's domains.
func (u *round) touchDomains(k gateway.ListenerKey, ds gateway.Domains) {
	l := u.listenerAt[k]
	if l == nil {
		return // its port's hosts are marked as a whole
	}
	if !l.ByHost() {
		u.portsTouched.Add(l.Gateway)
		return
	}
	for d := range ds {
		u.hostsTouched.Add(l.HostKey(d))
	}
}

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
