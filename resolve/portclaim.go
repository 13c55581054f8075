package resolve

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/index"
	"sluice.io/sluice/resolve/object"
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
		if !f.anywhere() {
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

// anywhere tells that a gateway claims its ports at every address of the node.
func (f *frame) anywhere() bool {
	return len(f.reach.addresses) == 0 && f.gateway.standalone() && f.reach.known
}

// claimsOf lists all that a gateway claims: its ports at its addresses, and the
// ports of the nodes at which load balancers dial for it.
func (r *Resolver) claimsOf(n object.Name) index.Set[portClaim] {
	f := r.frames[n]
	if f == nil {
		return nil
	}
	all := index.Set[portClaim]{}
	for k := range f.ports {
		for _, c := range f.claimsOn(k) {
			all.Add(c)
		}
		if t := r.wanted(k); t != 0 {
			all.Add(portClaim{port: t, protocol: k.Protocol})
		}
	}
	return all
}

// claimPorts enters what the marked gateways claim, and marks what changed.
func (u *round) claimPorts() {
	for n := range u.claimsTouched {
		now := u.claimsOf(n)
		for c := range u.claimed[n] {
			u.portClaimsTouched.Add(c)
			if !now.Has(c) {
				u.portClaims.Remove(c, n)
			}
		}
		for c := range now {
			u.portClaimsTouched.Add(c)
			u.portClaims.Add(c, n)
		}
		if len(now) > 0 {
			u.claimed[n] = now
		} else {
			delete(u.claimed, n)
		}
	}
}

// settlePortClaims decides who has each port whose claimants changed: the oldest
// gateway, then the first by namespace/name.
func (u *round) settlePortClaims() {
	for c := range u.portClaimsTouched {
		var holder *gateway
		for n := range u.portClaims[c] {
			if g := u.gateways[n]; holder == nil || g.Compare(holder.Seniority) < 0 {
				holder = g
			}
		}
		was, had := u.portHolders[c]
		if holder == nil {
			delete(u.portHolders, c)
			continue
		}
		u.portHolders[c] = holder.Name
		if had && was == holder.Name && len(u.portClaims[c]) == 1 {
			continue
		}
		for n := range u.portClaims[c] {
			u.portsTouched.Add(n)
			for _, p := range u.frames[n].parents {
				u.report.Add(p.ref)
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
		if r.portHolders[c] != f.gateway.Name {
			continue
		}
		has = true
		if c.addr.IsValid() {
			addrs = append(addrs, c.addr)
		}
	}
	return addrs, has
}

// portTaken says why a gateway has a port nowhere; nil when it has it somewhere.
func (r *Resolver) portTaken(f *frame, k model.PortKey) *finding.Finding {
	if f.ports[k] == nil || r.target(k) != 0 {
		return nil
	}
	addresses, has := r.portAddresses(f, k)
	switch t := r.wanted(k); {
	case len(addresses) > 0 || has && f.anywhere():
		return nil
	case has && t == 0:
		return finding.New(string(gatewayv1.ListenerReasonPending), "no Service leads to port %d/%s yet", k.Port, k.Protocol)
	case has:
		return finding.New(string(gatewayv1.ListenerReasonPortUnavailable), "%s", r.targetTaken(k, t))
	}
	other := r.portHolders[f.claimsOn(k)[0]]
	return finding.New(string(gatewayv1.ListenerReasonPortUnavailable),
		"port %d/%s belongs to %s, which came first", k.Port, k.Protocol, finding.ObjectAt(r.gateways[other].obj.Origin))
}

// targetTaken says who has the port of the nodes that a gateway's port is to have.
func (r *Resolver) targetTaken(k model.PortKey, target uint16) string {
	other := r.portHolders[portClaim{port: target, protocol: k.Protocol}]
	if other == gatewayName(k) {
		return fmt.Sprintf("port %d/%s of the nodes, where load balancers dial port %d, is another port's of this Gateway", target, k.Protocol, k.Port)
	}
	return fmt.Sprintf("port %d/%s of the nodes, where load balancers dial port %d, belongs to %s, which came first",
		target, k.Protocol, k.Port, finding.ObjectAt(r.gateways[other].obj.Origin))
}

// partlyTaken says which gateway has a port at some of this one's addresses, or
// where load balancers dial it.
func (r *Resolver) partlyTaken(f *frame) *finding.Finding {
	for _, k := range slices.SortedFunc(maps.Keys(f.ports), model.ComparePorts) {
		_, has := r.portAddresses(f, k)
		for _, c := range f.claimsOn(k) {
			if other := r.portHolders[c]; has && other != f.gateway.Name {
				return notUsable("port %d/%s at %s belongs to %s, which came first", c.port, c.protocol, c.addr, finding.ObjectAt(r.gateways[other].obj.Origin))
			}
		}
		if t := r.wanted(k); t != 0 && r.target(k) == 0 {
			return notUsable("%s", r.targetTaken(k, t))
		}
	}
	return nil
}
