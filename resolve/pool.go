package resolve

import (
	"maps"
	"net/netip"
	"slices"

	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/gateway"
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/source"
)

// pool is an AddressPool: what was assigned from it, or where there is no
// controller that would assign, what may be.
type pool struct {
	origin   model.Origin
	spans    []v1alpha1.AddressSpan
	assigned map[netip.Addr]string // address -> node
}

func parsePool(o *v1alpha1.AddressPool, obj *source.Object) *pool {
	p := &pool{origin: obj.Origin, assigned: map[netip.Addr]string{}}
	if obj.Origin.File != "" {
		for _, text := range o.Spec.Addresses {
			if s, err := text.Span(); err == nil { // the CRD's rules have seen to it
				p.spans = append(p.spans, s)
			}
		}
		return p
	}
	for _, a := range o.Status.Assignments {
		if addr, err := netip.ParseAddr(string(a.Address)); err == nil {
			p.assigned[addr.Unmap()] = a.Node
		}
	}
	return p
}

// ingestPool marks the addresses for which the pool says something else now.
func (u *round) ingestPool(n string, obj *source.Object) {
	if old := u.pools[n]; old != nil {
		u.touchPool(old)
		delete(u.pools, n)
	}
	o, ok := object.As[*v1alpha1.AddressPool](obj)
	if !ok {
		return
	}
	u.pools[n] = parsePool(o, obj)
	u.touchPool(u.pools[n])
}

func (u *round) touchPool(p *pool) {
	for a := range p.assigned {
		u.announce.Add(a)
	}
	if len(p.spans) > 0 {
		for a := range u.askedFor {
			u.announce.Add(a)
		}
	}
}

// ask keeps the addresses that a gateway without a controller has.
func (u *round) ask(before, after *gateway.Frame) {
	for f, in := range map[*gateway.Frame]bool{before: false, after: true} {
		if f == nil || !f.Gateway.Standalone() {
			continue
		}
		for _, a := range f.Reach.Addresses {
			u.announce.Add(a)
			if in {
				u.askedFor[a]++
			} else if u.askedFor[a]--; u.askedFor[a] == 0 {
				delete(u.askedFor, a)
			}
		}
	}
}

// updateAnnouncements says of each marked address who answers for it.
func (u *round) updateAnnouncements() {
	for a := range u.announce {
		now, was := u.announcement(a), u.made.Announcements[a]
		switch {
		case now == nil && was != nil:
			u.delta.Announcements[a] = nil
		case now != nil && (was == nil || *was != *now):
			u.delta.Announcements[a] = now
		}
	}
}

func (r *Resolver) announcement(a netip.Addr) *model.Announcement {
	for _, n := range slices.Sorted(maps.Keys(r.pools)) {
		p := r.pools[n]
		node, assigned := p.assigned[a]
		here := r.askedFor[a] > 0 && slices.ContainsFunc(p.spans, func(s v1alpha1.AddressSpan) bool { return s.Contains(a) })
		if assigned && node != "" || here {
			return &model.Announcement{Addr: a, Node: node, Origin: p.origin}
		}
	}
	return nil
}
