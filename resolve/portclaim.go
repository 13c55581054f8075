package resolve

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
)

// portClaim is what only one gateway can have: a port at an address, or with the
// zero address, at every address of the node that nobody else claims.
type portClaim struct {
	addr     netip.Addr
	port     uint16
	protocol model.Protocol
}

// claimsOn lists what a gateway claims for one of its ports.
func (f *frame) claimsOn(k model.PortKey) []portClaim {
	if len(f.reach.addresses) == 0 {
		if !f.gateway.standalone() || !f.reach.known {
			return nil
		}
		return []portClaim{{port: k.Port, protocol: k.Protocol}}
	}
	cs := make([]portClaim, len(f.reach.addresses))
	for i, a := range f.reach.addresses {
		cs[i] = portClaim{a, k.Port, k.Protocol}
	}
	return cs
}

// replacePortClaims enters what a gateway claims, and marks what changed.
func (u *round) replacePortClaims(n name, before, after *frame) {
	for f, in := range map[*frame]bool{before: false, after: true} {
		if f == nil {
			continue
		}
		for k := range f.ports {
			for _, c := range f.claimsOn(k) {
				u.portClaimsTouched.add(c)
				if !in && (after == nil || after.ports[k] == nil || !slices.Contains(after.claimsOn(k), c)) {
					u.portClaims.remove(c, n)
				} else {
					u.portClaims.add(c, n)
				}
			}
		}
	}
}

// settlePortClaims decides who has each port whose claimants changed: the oldest
// gateway, then the first by namespace/name.
func (u *round) settlePortClaims() {
	for c := range u.portClaimsTouched {
		var holder *gateway
		for n := range u.portClaims[c] {
			if g := u.gateways[n]; holder == nil || g.compare(holder.seniority) < 0 {
				holder = g
			}
		}
		was, had := u.portHolders[c]
		if holder == nil {
			delete(u.portHolders, c)
			continue
		}
		u.portHolders[c] = holder.name
		if had && was == holder.name && len(u.portClaims[c]) == 1 {
			continue
		}
		for n := range u.portClaims[c] {
			u.portsTouched.add(n)
			for _, p := range u.frames[n].parents {
				u.report.add(p.ref)
			}
		}
	}
}

// portAddresses returns the addresses at which a gateway has a port, and whether it has it
// anywhere.
func (r *Resolver) portAddresses(f *frame, k model.PortKey) ([]netip.Addr, bool) {
	claims := f.claimsOn(k)
	if len(claims) == 0 {
		return nil, true // load balancers alone bring connections
	}
	var addrs []netip.Addr
	has := false
	for _, c := range claims {
		if r.portHolders[c] != f.gateway.name {
			continue
		}
		has = true
		if c.addr.IsValid() {
			addrs = append(addrs, c.addr)
		}
	}
	return addrs, has
}

// portTaken says which gateway has a port that this one claims everywhere in vain.
func (r *Resolver) portTaken(f *frame, k model.PortKey) *finding {
	if f.ports[k] == nil {
		return nil
	}
	if _, has := r.portAddresses(f, k); has || r.target(k) != 0 {
		return nil
	}
	other := r.portHolders[f.claimsOn(k)[0]]
	return &finding{reason: string(gatewayv1.ListenerReasonPortUnavailable), message: fmt.Sprintf(
		"port %d/%s belongs to %s, which came first", k.Port, k.Protocol, objectAt(r.gateways[other].obj.Origin))}
}

// partlyTaken says which gateway has a port at some of this one's addresses.
func (r *Resolver) partlyTaken(f *frame) *finding {
	for _, k := range slices.SortedFunc(maps.Keys(f.ports), model.ComparePorts) {
		_, has := r.portAddresses(f, k)
		for _, c := range f.claimsOn(k) {
			if other := r.portHolders[c]; has && other != f.gateway.name {
				return notUsable("port %d/%s at %s belongs to %s, which came first", c.port, c.protocol, c.addr, objectAt(r.gateways[other].obj.Origin))
			}
		}
	}
	return nil
}
