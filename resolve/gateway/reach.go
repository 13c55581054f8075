package gateway

import (
	"net/netip"
	"slices"
	"strings"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/object"
)

// Reach is where a gateway is dialled.
type Reach struct {
	Addresses   []netip.Addr
	Known       bool             // it can be dialled
	unsupported *finding.Finding // an address of a kind that there is not
	Unusable    *finding.Finding // an address that is not there, or not yet
}

// readReach settles the addresses of a gateway: those that its controller wrote
// into the status, or without a controller those that it asks for.
func (f *Frame) readReach() {
	g := f.Gateway
	r := &f.Reach
	var asked []string
	for _, a := range g.Spec.Addresses {
		switch kind := ptr.Deref(a.Type, gatewayv1.IPAddressType); {
		case kind != gatewayv1.IPAddressType:
			r.unsupported = finding.New(string(gatewayv1.GatewayReasonUnsupportedAddress), "addresses of type %s are not supported: IPAddress is", kind)
		case a.Value != "":
			asked = append(asked, a.Value)
		}
	}
	if g.Standalone() {
		r.Known = true
		for _, text := range asked {
			r.add(text, true)
		}
		r.Known = len(asked) == 0 || len(r.Addresses) > 0
	} else {
		r.assigned(g, asked)
	}
	slices.SortFunc(r.Addresses, netip.Addr.Compare)
	r.Addresses = slices.Compact(r.Addresses)
}

// add adds an address; one that is none is told of when it was asked for.
func (r *Reach) add(text string, asked bool) {
	if a, ok := object.Address(text); ok {
		r.Addresses = append(r.Addresses, a)
	} else if asked && r.Unusable == nil {
		r.Unusable = finding.New(finding.AddressNotUsable, "%q is not a unicast IP address", text)
	}
}

// assigned reads the addresses that a controller wrote.
func (r *Reach) assigned(g *Gateway, asked []string) {
	for _, a := range g.addresses {
		if ptr.Deref(a.Type, gatewayv1.IPAddressType) == gatewayv1.IPAddressType {
			r.add(a.Value, false)
		}
	}
	r.Known = len(g.addresses) > 0
	for _, text := range asked {
		a, err := netip.ParseAddr(text)
		if err != nil {
			r.Unusable = finding.New(finding.AddressNotUsable, "%q is not an IP address", text)
			return
		}
		if r.Known && !slices.Contains(r.Addresses, a.Unmap()) {
			r.Unusable = finding.New(finding.AddressNotUsable, "address %s is not the Gateway's: it is not in a pool, belongs to another, or the load balancer does not give it", text)
			return
		}
	}
	if !r.Known {
		r.Unusable = finding.New(string(gatewayv1.GatewayReasonAddressNotAssigned), "no address is assigned yet")
		if len(asked) > 0 {
			r.Unusable = finding.New(finding.AddressNotUsable, "none of the addresses asked for (%s) is assigned: they are not in a pool, belong to others, or the load balancer does not give them", strings.Join(asked, ", "))
		}
	}
}
