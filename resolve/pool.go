package resolve

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// pool is an AddressPool: what was assigned from it, or where there is no
// controller that would assign, what may be.
type pool struct {
	origin   model.Origin
	ranges   []addressRange
	assigned map[netip.Addr]string // address -> node
}

// addressRange is from the first to the last address.
type addressRange struct{ first, last netip.Addr }

func (r addressRange) holds(a netip.Addr) bool {
	return a.Is4() == r.first.Is4() && r.first.Compare(a) <= 0 && a.Compare(r.last) <= 0
}

func parsePool(o *v1alpha1.AddressPool, obj *source.Object) *pool {
	p := &pool{origin: obj.Origin, assigned: map[netip.Addr]string{}}
	if obj.Origin.File != "" {
		for _, text := range o.Spec.Addresses {
			if r, ok := parseRange(string(text)); ok {
				p.ranges = append(p.ranges, r)
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

// parseRange reads an address, a prefix, or a range from one to another.
func parseRange(text string) (addressRange, bool) {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		prefix = prefix.Masked()
		return addressRange{prefix.Addr(), lastOf(prefix)}, true
	}
	from, to, two := strings.Cut(text, "-")
	if !two {
		to = from
	}
	first, err1 := netip.ParseAddr(strings.TrimSpace(from))
	last, err2 := netip.ParseAddr(strings.TrimSpace(to))
	return addressRange{first, last}, err1 == nil && err2 == nil
}

// lastOf is the last address of a masked prefix.
func lastOf(p netip.Prefix) netip.Addr {
	raw := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(raw)*8; bit++ {
		raw[bit/8] |= 1 << (7 - bit%8)
	}
	last, _ := netip.AddrFromSlice(raw)
	return last
}

// ingestPool marks the addresses for which the pool says something else now.
func (u *round) ingestPool(n string, obj *source.Object) {
	if old := u.pools[n]; old != nil {
		u.touchPool(old)
		delete(u.pools, n)
	}
	o, ok := typed[*v1alpha1.AddressPool](obj)
	if !ok {
		return
	}
	u.pools[n] = parsePool(o, obj)
	u.touchPool(u.pools[n])
}

func (u *round) touchPool(p *pool) {
	for a := range p.assigned {
		u.announce.add(a)
	}
	if len(p.ranges) > 0 {
		for a := range u.askedFor {
			u.announce.add(a)
		}
	}
}

// ask keeps the addresses that a gateway without a controller has.
func (u *round) ask(before, after *frame) {
	for f, in := range map[*frame]bool{before: false, after: true} {
		if f == nil || !f.gateway.standalone() {
			continue
		}
		for _, a := range f.reach.addresses {
			u.announce.add(a)
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
		here := r.askedFor[a] > 0 && slices.ContainsFunc(p.ranges, func(r addressRange) bool { return r.holds(a) })
		if assigned && node != "" || here {
			return &model.Announcement{Addr: a, Node: node, Origin: p.origin}
		}
	}
	return nil
}
