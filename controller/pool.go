package controller

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
)

// pool is an AddressPool.
type pool struct {
	obj      *v1alpha1.AddressPool
	spans    []v1alpha1.AddressSpan
	overlaps string // the older pool that has some of the addresses
}

// pools assigns addresses to Gateways. An assignment stays until the Gateway
// goes or asks for something else.
type pools struct {
	log *slog.Logger
	// order has the oldest first: it has what several have.
	order []*pool
	user  map[netip.Addr]model.GatewayKey
	of    map[model.GatewayKey][]netip.Addr
	read  map[string]bool // pools whose status has been taken in
}

func newPools(log *slog.Logger) *pools {
	return &pools{log: log, user: map[netip.Addr]model.GatewayKey{}, of: map[model.GatewayKey][]netip.Addr{}, read: map[string]bool{}}
}

// any tells whether there are pools at all.
func (p *pools) any() bool { return len(p.order) > 0 }

// change takes in a pool's new state.
func (p *pools) change(name string, obj *v1alpha1.AddressPool) {
	p.order = slices.DeleteFunc(p.order, func(q *pool) bool { return q.obj.Name == name })
	if obj == nil {
		delete(p.read, name)
	} else {
		p.add(obj)
	}
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
}

func (p *pools) add(obj *v1alpha1.AddressPool) {
	q := &pool{obj: obj}
	for _, text := range obj.Spec.Addresses {
		s, err := text.Span()
		if err != nil {
			p.log.Warn("an address of a pool is not understood", "pool", obj.Name, "err", err)
			continue
		}
		q.spans = append(q.spans, s)
	}
	p.order = append(p.order, q)
	if p.read[obj.Name] {
		return
	}
	p.read[obj.Name] = true
	for _, a := range obj.Status.Assignments {
		addr, err := netip.ParseAddr(string(a.Address))
		gw := model.GatewayKey{Namespace: a.Gateway.Namespace, Name: a.Gateway.Name}
		if _, taken := p.user[addr]; err == nil && !taken {
			p.assign(addr, gw)
		}
	}
}

func (p *pools) assign(a netip.Addr, gw model.GatewayKey) {
	p.user[a] = gw
	p.of[gw] = append(p.of[gw], a)
	slices.SortFunc(p.of[gw], netip.Addr.Compare)
}

// owner is the pool that has an address.
func (p *pools) owner(a netip.Addr) *pool {
	for _, q := range p.order {
		if slices.ContainsFunc(q.spans, func(s v1alpha1.AddressSpan) bool { return s.Contains(a) }) {
			return q
		}
	}
	return nil
}

// get assigns a Gateway the addresses that it asks for, as far as they are free;
// or without any, one of each family.
func (p *pools) get(gw model.GatewayKey, asked []netip.Addr) []netip.Addr {
	keep := func(a netip.Addr) bool { return p.owner(a) != nil && (len(asked) == 0 || slices.Contains(asked, a)) }
	p.release(gw, keep)
	for _, a := range asked {
		if _, taken := p.user[a]; !taken && p.owner(a) != nil {
			p.assign(a, gw)
		}
	}
	if len(asked) > 0 {
		return p.of[gw]
	}
	for _, is4 := range []bool{true, false} {
		if slices.ContainsFunc(p.of[gw], func(a netip.Addr) bool { return a.Is4() == is4 }) {
			continue
		}
		if a, ok := p.free(is4); ok {
			p.assign(a, gw)
		}
	}
	return p.of[gw]
}

// free finds an address of a family that nobody has.
func (p *pools) free(is4 bool) (netip.Addr, bool) {
	for _, q := range p.order {
		for _, s := range q.spans {
			if s.First.Is4() != is4 {
				continue
			}
			for a := s.First; a.IsValid() && s.Contains(a); a = a.Next() {
				if _, taken := p.user[a]; !taken && p.owner(a) == q {
					return a, true
				}
			}
		}
	}
	return netip.Addr{}, false
}

// release takes from a Gateway the addresses that it is not to keep.
func (p *pools) release(gw model.GatewayKey, keep func(netip.Addr) bool) {
	left := slices.DeleteFunc(p.of[gw], func(a netip.Addr) bool {
		if keep != nil && keep(a) {
			return false
		}
		delete(p.user, a)
		return true
	})
	if len(left) == 0 {
		delete(p.of, gw)
	} else {
		p.of[gw] = left
	}
}

// status is what a pool's status should be, given the node that answers for an
// address of a Gateway.
func (p *pools) status(q *pool, node func(netip.Addr, model.GatewayKey) string, now metav1.Time) v1alpha1.AddressPoolStatus {
	var st v1alpha1.AddressPoolStatus
	for _, a := range slices.SortedFunc(maps.Keys(p.user), netip.Addr.Compare) {
		if p.owner(a) != q {
			continue
		}
		gw := p.user[a]
		st.Assignments = append(st.Assignments, v1alpha1.AddressAssignment{
			Address: v1alpha1.IPAddress(a.String()), Gateway: v1alpha1.GatewayReference{Namespace: gw.Namespace, Name: gw.Name}, Node: node(a, gw),
		})
	}
	st.Assigned = int32(len(st.Assignments))
	st.Conditions = conditions(p.conditions(q), q.obj.Status.Conditions, q.obj.Generation, now)
	return st
}

func (p *pools) conditions(q *pool) []model.Condition {
	accepted := model.Condition{Type: string(v1alpha1.AddressPoolConditionAccepted), Status: true, Reason: string(v1alpha1.AddressPoolReasonAccepted), Message: "the addresses are used"}
	if q.overlaps != "" {
		accepted.Status, accepted.Reason = false, string(v1alpha1.AddressPoolReasonOverlapping)
		accepted.Message = fmt.Sprintf("AddressPool %s is older and has some of the addresses: they stay its own", q.overlaps)
	}
	available := model.Condition{Type: string(v1alpha1.AddressPoolConditionAvailable), Status: true, Reason: string(v1alpha1.AddressPoolReasonAvailable), Message: "there are free addresses"}
	if !p.hasFree(q) {
		available.Status, available.Reason, available.Message = false, string(v1alpha1.AddressPoolReasonExhausted), "all addresses are assigned"
	}
	return []model.Condition{accepted, available}
}

func (p *pools) hasFree(q *pool) bool {
	for _, s := range q.spans {
		for a := s.First; a.IsValid() && s.Contains(a); a = a.Next() {
			if _, taken := p.user[a]; !taken && p.owner(a) == q {
				return true
			}
		}
	}
	return false
}

// poolStatus is a status as it is compared and written.
func poolStatus(st v1alpha1.AddressPoolStatus) json.RawMessage {
	text, err := json.Marshal(struct {
		Assigned    int32                        `json:"assigned"`
		Assignments []v1alpha1.AddressAssignment `json:"assignments"`
		Conditions  []metav1.Condition           `json:"conditions"`
	}{st.Assigned, append([]v1alpha1.AddressAssignment{}, st.Assignments...), append([]metav1.Condition{}, st.Conditions...)})
	if err != nil {
		return nil // strings and numbers: it cannot be
	}
	return text
}
