package model

import (
	"cmp"
	"net/netip"
)

// Rejected is something of a gateway's that an Envoy did not take: it goes on with
// what it had before, if anything.
type Rejected struct {
	// Port is the gateway's. Of an address of which only the address is known, its
	// port is that of At.
	Port PortKey
	// At is the address whose listener was rejected; the zero value when it is the
	// routes of Host.
	At netip.AddrPort
	// Host is the host name whose routes were rejected, "*" for all with a wildcard.
	Host string
	// Message is Envoy's own.
	Message string
}

// CompareRejected orders them.
func CompareRejected(a, b Rejected) int {
	return cmp.Or(cmp.Compare(a.Port.String(), b.Port.String()), a.At.Compare(b.At), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Message, b.Message))
}
