package resolve

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/gateway"
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
