package gateway

import (
	"net/netip"

	"sluice.io/sluice/model"
)

// Claim is what only one gateway can have: a port at an address, or with the
// zero address, at every address of the node that nobody else claims.
type Claim struct {
	Addr     netip.Addr
	Port     uint16
	Protocol model.Protocol
}

// ClaimsOn lists what a gateway claims for one of its ports.
func (f *Frame) ClaimsOn(k model.PortKey) []Claim {
	if len(f.Reach.Addresses) == 0 {
		if !f.Anywhere() {
			return nil
		}
		return []Claim{{Port: k.Port, Protocol: k.Protocol}}
	}
	cs := make([]Claim, len(f.Reach.Addresses))
	for i, a := range f.Reach.Addresses {
		cs[i] = Claim{a, k.Port, k.Protocol}
	}
	return cs
}

// Anywhere tells that a gateway claims its ports at every address of the node.
func (f *Frame) Anywhere() bool {
	return len(f.Reach.Addresses) == 0 && f.Gateway.Standalone() && f.Reach.Known
}
