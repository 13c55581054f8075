// Package pool says which addresses of gateways are announced, and by which node: as
// AddressPools have assigned them, or where there is no controller that would, when
// a pool covers what a gateway asks for.
//
// It must not know gateways, nor how addresses are announced.
package pool

import (
	"maps"
	"net/netip"
	"slices"

	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/index"
	"sluice.io/sluice/source"
)

// Pools are the AddressPools, and the addresses that are asked for.
type Pools struct {
	pools   map[string]*pool
	asked   map[netip.Addr]int    // by gateways without a controller
	touched index.Set[netip.Addr] // since they were last emitted
}

// pool is an AddressPool: what was assigned from it, or where there is no
// controller that would assign, what may be.
type pool struct {
	origin   model.Origin
	spans    []v1alpha1.AddressSpan
	assigned map[netip.Addr]string // address -> node
}

// New knows no pools.
func New() *Pools {
	return &Pools{pools: map[string]*pool{}, asked: map[netip.Addr]int{}, touched: index.Set[netip.Addr]{}}
}

// Put takes the new state of an AddressPool, nil when it is gone.
func (p *Pools) Put(n string, o *v1alpha1.AddressPool, obj *source.Object) {
	if old := p.pools[n]; old != nil {
		p.touch(old)
		delete(p.pools, n)
	}
	if o != nil {
		p.pools[n] = read(o, obj)
		p.touch(p.pools[n])
	}
}

func read(o *v1alpha1.AddressPool, obj *source.Object) *pool {
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

// touch marks the addresses for which a pool says something.
func (p *Pools) touch(o *pool) {
	for a := range o.assigned {
		p.touched.Add(a)
	}
	if len(o.spans) > 0 {
		for a := range p.asked {
			p.touched.Add(a)
		}
	}
}

// Ask says what a gateway without a controller asks for, in place of what it asked
// for before.
func (p *Pools) Ask(before, now []netip.Addr) {
	for _, a := range before {
		p.touched.Add(a)
		if p.asked[a]--; p.asked[a] == 0 {
			delete(p.asked, a)
		}
	}
	for _, a := range now {
		p.touched.Add(a)
		p.asked[a]++
	}
}

// Emit writes what changed since the last time into the delta, given all that was
// emitted before.
func (p *Pools) Emit(made *model.Mesh, delta *model.Delta) {
	for a := range p.touched {
		now, was := p.announcement(a), made.Announcements[a]
		switch {
		case now == nil && was != nil:
			delta.Announcements[a] = nil
		case now != nil && (was == nil || *was != *now):
			delta.Announcements[a] = now
		}
	}
	clear(p.touched)
}

func (p *Pools) announcement(a netip.Addr) *model.Announcement {
	for _, n := range slices.Sorted(maps.Keys(p.pools)) {
		o := p.pools[n]
		node, assigned := o.assigned[a]
		here := p.asked[a] > 0 && slices.ContainsFunc(o.spans, func(s v1alpha1.AddressSpan) bool { return s.Contains(a) })
		if assigned && node != "" || here {
			return &model.Announcement{Addr: a, Node: node, Origin: o.origin}
		}
	}
	return nil
}
