package resolve

import (
	"net/netip"
	"slices"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/object"
)

// readReach settles the addresses of a gateway: those that its controller wrote
// into the status, or without a controller those that it asks for.
func (u *round) readReach(f *frame) {
	g := f.gateway
	r := &f.reach
	var asked []string
	for _, a := range g.spec.Addresses {
		switch kind := ptr.Deref(a.Type, gatewayv1.IPAddressType); {
		case kind != gatewayv1.IPAddressType:
			r.unsupported = finding.New(string(gatewayv1.GatewayReasonUnsupportedAddress), "addresses of type %s are not supported: IPAddress is", kind)
		case a.Value != "":
			asked = append(asked, a.Value)
		}
	}
	if g.standalone() {
		r.known = true
		for _, text := range asked {
			r.add(text, true)
		}
		r.known = len(asked) == 0 || len(r.addresses) > 0
	} else {
		u.assigned(r, g, asked)
	}
	slices.SortFunc(r.addresses, netip.Addr.Compare)
	r.addresses = slices.Compact(r.addresses)
}

// add adds an address; one that is none is told of when it was asked for.
func (r *reach) add(text string, asked bool) {
	if a, ok := object.Address(text); ok {
		r.addresses = append(r.addresses, a)
	} else if asked && r.unusable == nil {
		r.unusable = notUsable("%q is not a unicast IP address", text)
	}
}

func notUsable(format string, args ...any) *finding.Finding {
	return finding.New(string(gatewayv1.GatewayReasonAddressNotUsable), format, args...)
}

// assigned reads the addresses that a controller wrote.
func (u *round) assigned(r *reach, g *gateway, asked []string) {
	for _, a := range g.addresses {
		if ptr.Deref(a.Type, gatewayv1.IPAddressType) == gatewayv1.IPAddressType {
			r.add(a.Value, false)
		}
	}
	r.known = len(g.addresses) > 0
	for _, text := range asked {
		a, err := netip.ParseAddr(text)
		if err != nil {
			r.unusable = notUsable("%q is not an IP address", text)
			return
		}
		if r.known && !slices.Contains(r.addresses, a.Unmap()) {
			r.unusable = notUsable("address %s is not the Gateway's: it is not in a pool, belongs to another, or the load balancer does not give it", text)
			return
		}
	}
	if !r.known {
		r.unusable = finding.New(string(gatewayv1.GatewayReasonAddressNotAssigned), "no address is assigned yet")
		if len(asked) > 0 {
			r.unusable = notUsable("none of the addresses asked for is assigned: they are not in a pool, belong to others, or the load balancer does not give them")
		}
	}
}
