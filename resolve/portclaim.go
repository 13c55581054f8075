package resolve

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/gateway"
	"sluice.io/sluice/resolve/object"
)

// claimsOf lists all that a gateway claims: its ports at its addresses, and the
// ports of the nodes at which load balancers dial for it.
func (r *Resolver) claimsOf(f *gateway.Frame) []gateway.Claim {
	var all []gateway.Claim
	for k := range f.Ports {
		all = append(all, f.ClaimsOn(k)...)
		if t := r.wanted(k); t != 0 {
			all = append(all, gateway.Claim{Port: t, Protocol: k.Protocol})
		}
	}
	return all
}

// claimPorts says what the marked gateways claim.
func (u *round) claimPorts() {
	for n := range u.claimsTouched {
		if f := u.frames[n]; f != nil {
			u.portClaims.Claim(f.Gateway.Seniority, u.claimsOf(f))
		} else {
			u.portClaims.Claim(object.Seniority{Name: n}, nil)
		}
	}
}

// settlePortClaims marks the gateways that claim a port whose holder changed. Those
// whose own claims changed are marked already.
func (u *round) settlePortClaims() {
	for c, before := range u.portClaims.Changed() {
		claimants := u.portClaims.Claimants(c)
		holder := u.portClaims.Holder(c)
		if holder == before && (len(claimants) == 1 || !u.claimsTouched.Has(holder)) {
			continue
		}
		for _, g := range claimants {
			u.portsTouched.Add(g.Name)
			for _, p := range u.frames[g.Name].Parents {
				u.report.Add(p.Ref)
			}
		}
	}
}

// portAddresses returns the addresses at which a gateway has a port, and whether it has it
// anywhere.
func (r *Resolver) portAddresses(f *gateway.Frame, k model.PortKey) ([]netip.Addr, bool) {
	claims := f.ClaimsOn(k)
	if len(claims) == 0 {
		return nil, true // load balancers alone bring connections
	}
	var addrs []netip.Addr
	has := false
	for _, c := range claims {
		if r.portClaims.Holder(c) != f.Gateway.Name {
			continue
		}
		has = true
		if c.Addr.IsValid() {
			addrs = append(addrs, c.Addr)
		}
	}
	return addrs, has
}

// portTaken says why a gateway has a port nowhere; nil when it has it somewhere.
func (r *Resolver) portTaken(f *gateway.Frame, k model.PortKey) *finding.Finding {
	if f.Ports[k] == nil || r.target(k) != 0 {
		return nil
	}
	addresses, has := r.portAddresses(f, k)
	switch t := r.wanted(k); {
	case len(addresses) > 0 || has && f.Anywhere():
		return nil
	case has && t == 0:
		return finding.New(string(gatewayv1.ListenerReasonPending), "no Service leads to port %d/%s yet", k.Port, k.Protocol)
	case has:
		return finding.New(string(gatewayv1.ListenerReasonPortUnavailable), "%s", r.targetTaken(k, t))
	}
	other := r.portClaims.Holder(f.ClaimsOn(k)[0])
	return finding.New(string(gatewayv1.ListenerReasonPortUnavailable),
		"port %d/%s belongs to %s, which came first", k.Port, k.Protocol, finding.ObjectAt(r.gateways[other].Object.Origin))
}

// targetTaken says who has the port of the nodes that a gateway's port is to have.
func (r *Resolver) targetTaken(k model.PortKey, target uint16) string {
	other := r.portClaims.Holder(gateway.Claim{Port: target, Protocol: k.Protocol})
	if other == gatewayName(k) {
		return fmt.Sprintf("port %d/%s of the nodes, where load balancers dial port %d, is another port's of this Gateway", target, k.Protocol, k.Port)
	}
	return fmt.Sprintf("port %d/%s of the nodes, where load balancers dial port %d, belongs to %s, which came first",
		target, k.Protocol, k.Port, finding.ObjectAt(r.gateways[other].Object.Origin))
}

// partlyTaken says which gateway has a port at some of this one's addresses, or
// where load balancers dial it.
func (r *Resolver) partlyTaken(f *gateway.Frame) *finding.Finding {
	for _, k := range slices.SortedFunc(maps.Keys(f.Ports), model.ComparePorts) {
		_, has := r.portAddresses(f, k)
		for _, c := range f.ClaimsOn(k) {
			if other := r.portClaims.Holder(c); has && other != f.Gateway.Name {
				return finding.New(finding.AddressNotUsable, "port %d/%s at %s belongs to %s, which came first", c.Port, c.Protocol, c.Addr, finding.ObjectAt(r.gateways[other].Object.Origin))
			}
		}
		if t := r.wanted(k); t != 0 && r.target(k) == 0 {
			return finding.New(finding.AddressNotUsable, "%s", r.targetTaken(k, t))
		}
	}
	return nil
}
