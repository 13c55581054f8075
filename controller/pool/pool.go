// Package pool assigns addresses of AddressPools to Gateways.
//
// It owns who has which address, and what a pool's status says of it. It must not
// know which Gateways are served, by which nodes, nor how statuses are written.
package pool

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"

	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
)

// Most is how many addresses of one pool can be assigned: its status has room for
// no more.
const Most = 4096

// pool is an AddressPool.
type pool struct {
	obj      *v1alpha1.AddressPool
	spans    []v1alpha1.AddressSpan
	overlaps string // the older pool that has some of the addresses
	assigned int
}

// span is the one that has an address.
func (p *pool) span(a netip.Addr) (v1alpha1.AddressSpan, bool) {
	for _, s := range p.spans {
		if s.Contains(a) {
			return s, true
		}
	}
	return v1alpha1.AddressSpan{}, false
}

// Pools assigns addresses to Gateways. An assignment stays until the Gateway goes
// or asks for something else, or its address is taken out of the pool and there
// is another for it.
type Pools struct {
	log *slog.Logger
	// order has the oldest first: it has what several have.
	order []*pool
	user  map[netip.Addr]holder
	of    map[model.GatewayKey][]netip.Addr
	news  bool
}

// holder is who has an address, of which pool.
type holder struct {
	gateway model.GatewayKey
	pool    *pool
}

// New returns no pools.
func New(log *slog.Logger) *Pools {
	return &Pools{log: log, user: map[netip.Addr]holder{}, of: map[model.GatewayKey][]netip.Addr{}}
}

// Any tells whether there are pools at all.
func (p *Pools) Any() bool { return len(p.order) > 0 }

// News tells whether a pool or an assignment changed since it was last asked.
func (p *Pools) News() bool {
	news := p.news
	p.news = false
	return news
}

// Change takes in a pool's new state, nil when it has gone. It tells whether that
// means something for Gateways; a status does only when the pool is new.
func (p *Pools) Change(name string, obj *v1alpha1.AddressPool) bool {
	p.news = true
	at := slices.IndexFunc(p.order, func(q *pool) bool { return q.obj.Name == name })
	switch {
	case at < 0 && obj == nil:
		return false
	case at >= 0 && obj != nil && slices.Equal(p.order[at].obj.Spec.Addresses, obj.Spec.Addresses) && p.order[at].obj.CreationTimestamp.Equal(&obj.CreationTimestamp):
		p.order[at].obj = obj
		return false
	case obj == nil:
		p.order = slices.Delete(p.order, at, at+1)
	case at < 0:
		q := &pool{obj: obj, spans: p.spansOf(obj)}
		p.order = append(p.order, q)
		p.recall(q)
	default:
		p.order[at].obj, p.order[at].spans = obj, p.spansOf(obj)
	}
	p.arrange()
	return true
}

func (p *Pools) spansOf(obj *v1alpha1.AddressPool) []v1alpha1.AddressSpan {
	var spans []v1alpha1.AddressSpan
	for _, text := range obj.Spec.Addresses {
		s, err := text.Span()
		if err != nil {
			p.log.Warn("an address of a pool is not understood", "pool", obj.Name, "err", err)
			continue
		}
		spans = append(spans, s)
	}
	return spans
}

// recall takes in what an earlier leader assigned.
func (p *Pools) recall(q *pool) {
	for _, a := range q.obj.Status.Assignments {
		addr, err := netip.ParseAddr(string(a.Address))
		if _, taken := p.user[addr]; err == nil && !taken && q.assigned < Most {
			p.assign(addr, model.GatewayKey{Namespace: a.Gateway.Namespace, Name: a.Gateway.Name}, q)
		}
	}
}

// arrange puts the pools in order, and every address into the pool that has it
// now. One that was taken out stays with its pool, and goes with it.
func (p *Pools) arrange() {
	slices.SortFunc(p.order, func(a, b *pool) int {
		return cmp.Or(a.obj.CreationTimestamp.Compare(b.obj.CreationTimestamp.Time), cmp.Compare(a.obj.Name, b.obj.Name))
	})
	for i, q := range p.order {
		q.overlaps = ""
		for _, older := range p.order[:i] {
			if slices.ContainsFunc(q.spans, func(s v1alpha1.AddressSpan) bool { return slices.ContainsFunc(older.spans, s.Overlaps) }) {
				q.overlaps = older.obj.Name
				break
			}
		}
	}
	for a, h := range p.user {
		q := p.owner(a)
		switch {
		case q == h.pool:
		case q != nil && q.assigned < Most:
			h.pool.assigned--
			q.assigned++
			p.user[a] = holder{h.gateway, q}
		case !slices.Contains(p.order, h.pool):
			p.drop(h.gateway, func(b netip.Addr) bool { return b == a })
		}
	}
}

func (p *Pools) assign(a netip.Addr, gw model.GatewayKey, q *pool) {
	p.news = true
	q.assigned++
	p.user[a] = holder{gw, q}
	p.of[gw] = append(p.of[gw], a)
	slices.SortFunc(p.of[gw], netip.Addr.Compare)
}

// owner is the pool that has an address; nil when none has.
func (p *Pools) owner(a netip.Addr) *pool {
	q, _ := p.place(a)
	return q
}

// place is the pool that has an address, and the span of it.
func (p *Pools) place(a netip.Addr) (*pool, v1alpha1.AddressSpan) {
	for _, q := range p.order {
		if s, ok := q.span(a); ok {
			return q, s
		}
	}
	return nil, v1alpha1.AddressSpan{}
}

// Get assigns a Gateway the addresses that it asks for, as far as they are free;
// or without any, one of each family. An address that is no longer in a pool is
// given up when there is another for it, and not before.
func (p *Pools) Get(gw model.GatewayKey, asked []netip.Addr) []netip.Addr {
	if len(asked) > 0 {
		p.certain(gw, asked)
		return p.of[gw]
	}
	served := false
	for _, is4 := range []bool{true, false} {
		served = p.anyOf(gw, is4) || served
	}
	for _, is4 := range []bool{true, false} {
		if served && !p.haveFamily(is4) {
			p.drop(gw, func(a netip.Addr) bool { return a.Is4() == is4 && p.owner(a) == nil })
		}
	}
	return p.of[gw]
}

// certain assigns the addresses that a Gateway asks for.
func (p *Pools) certain(gw model.GatewayKey, asked []netip.Addr) {
	p.drop(gw, func(a netip.Addr) bool { return !slices.Contains(asked, a) })
	for _, a := range asked {
		q := p.owner(a)
		if _, taken := p.user[a]; !taken && q != nil && q.assigned < Most {
			p.assign(a, gw, q)
		}
	}
	if slices.ContainsFunc(p.of[gw], func(a netip.Addr) bool { return p.owner(a) != nil }) {
		p.drop(gw, func(a netip.Addr) bool { return p.owner(a) == nil })
	}
}

// anyOf sees to it that a Gateway has an address of a family, and tells whether it
// has one that is in a pool.
func (p *Pools) anyOf(gw model.GatewayKey, is4 bool) bool {
	good := slices.ContainsFunc(p.of[gw], func(a netip.Addr) bool { return a.Is4() == is4 && p.owner(a) != nil })
	if !good {
		a, q := p.free(is4)
		if q == nil {
			return false
		}
		p.assign(a, gw, q)
	}
	p.drop(gw, func(a netip.Addr) bool { return a.Is4() == is4 && p.owner(a) == nil })
	return true
}

func (p *Pools) haveFamily(is4 bool) bool {
	return slices.ContainsFunc(p.order, func(q *pool) bool {
		return slices.ContainsFunc(q.spans, func(s v1alpha1.AddressSpan) bool { return s.First.Is4() == is4 })
	})
}

// free finds an address of a family that nobody has, and its pool.
func (p *Pools) free(is4 bool) (netip.Addr, *pool) {
	for _, q := range p.order {
		if a, ok := p.freeIn(q, func(s v1alpha1.AddressSpan) bool { return s.First.Is4() == is4 }); ok {
			return a, q
		}
	}
	return netip.Addr{}, nil
}

// freeIn finds an address of a pool that nobody has.
func (p *Pools) freeIn(q *pool, in func(v1alpha1.AddressSpan) bool) (netip.Addr, bool) {
	if q.assigned >= Most {
		return netip.Addr{}, false
	}
	for _, s := range q.spans {
		if !in(s) {
			continue
		}
		for a := s.First; a.IsValid() && s.Contains(a); a = a.Next() {
			if _, taken := p.user[a]; taken {
				continue
			}
			owner, whose := p.place(a)
			if owner == q {
				return a, true
			}
			a = whose.Last // all of it is an older pool's
		}
	}
	return netip.Addr{}, false
}

// Release takes all addresses from a Gateway.
func (p *Pools) Release(gw model.GatewayKey) {
	p.drop(gw, func(netip.Addr) bool { return true })
}

// Retain takes all addresses from the Gateways that are not to have any.
func (p *Pools) Retain(keep func(model.GatewayKey) bool) {
	for gw := range p.of {
		if !keep(gw) {
			p.Release(gw)
		}
	}
}

func (p *Pools) drop(gw model.GatewayKey, which func(netip.Addr) bool) {
	left := slices.DeleteFunc(p.of[gw], func(a netip.Addr) bool {
		if !which(a) {
			return false
		}
		p.news = true
		p.user[a].pool.assigned--
		delete(p.user, a)
		return true
	})
	if len(left) == 0 {
		delete(p.of, gw)
	} else {
		p.of[gw] = left
	}
}

// Assigned is an address that a Gateway has.
type Assigned struct {
	Addr    netip.Addr
	Gateway model.GatewayKey
}

// State is what there is to say of one pool.
type State struct {
	Pool       *v1alpha1.AddressPool
	Assigned   []Assigned // sorted by address
	Conditions []model.Condition
}

// States tells of all pools, the oldest first.
func (p *Pools) States() []State {
	all := make([]State, len(p.order))
	at := map[*pool]int{}
	for i, q := range p.order {
		at[q] = i
		all[i] = State{Pool: q.obj, Conditions: p.conditions(q)}
	}
	for _, a := range slices.SortedFunc(maps.Keys(p.user), netip.Addr.Compare) {
		h := p.user[a]
		if i, ok := at[h.pool]; ok {
			all[i].Assigned = append(all[i].Assigned, Assigned{a, h.gateway})
		}
	}
	return all
}

func (p *Pools) conditions(q *pool) []model.Condition {
	accepted := model.Condition{Type: string(v1alpha1.AddressPoolConditionAccepted), Status: true, Reason: string(v1alpha1.AddressPoolReasonAccepted), Message: "the addresses are used"}
	if q.overlaps != "" {
		accepted.Status, accepted.Reason = false, string(v1alpha1.AddressPoolReasonOverlapping)
		accepted.Message = fmt.Sprintf("AddressPool %s is older and has some of the addresses: they stay its own", q.overlaps)
	}
	available := model.Condition{Type: string(v1alpha1.AddressPoolConditionAvailable), Status: true, Reason: string(v1alpha1.AddressPoolReasonAvailable), Message: "there are free addresses"}
	if _, ok := p.freeIn(q, func(v1alpha1.AddressSpan) bool { return true }); !ok {
		available.Status, available.Reason, available.Message = false, string(v1alpha1.AddressPoolReasonExhausted), "all addresses are assigned"
		if q.assigned >= Most {
			available.Message = fmt.Sprintf("%d addresses are assigned, which is as many as one pool can have: make another", q.assigned)
		}
	}
	return []model.Condition{accepted, available}
}
