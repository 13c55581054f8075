package translate

import (
	"net/netip"

	"sluice.io/sluice/model"
)

// Family is an address family. The one of the address that a client dialled is
// the one of the endpoint that serves it, as for connections that the kernel
// balances: so what Envoy has of a frontend and of a backend, it has by family.
type Family string

// The address families. A gateway's clients dial the gateway, and so its
// connections to endpoints are of whichever family there is: IPv4 if both.
const (
	IPv4      Family = "IPv4"
	IPv6      Family = "IPv6"
	AnyFamily Family = ""
)

// FamilyOf is the family of an address.
func FamilyOf(a netip.Addr) Family {
	if a.Unmap().Is4() {
		return IPv4
	}
	return IPv6
}

// name tells resources of IPv6 from those of IPv4, which go without saying.
func (f Family) name(of string) string {
	if f == IPv6 {
		return of + "/" + string(IPv6)
	}
	return of
}

// ByFamily is a frontend's part in each family that it has addresses of.
func ByFamily(f *model.Frontend) []*model.Frontend {
	parts := map[Family]*model.Frontend{}
	for _, a := range f.VIPs {
		family := FamilyOf(a)
		if parts[family] == nil {
			part := *f
			part.VIPs = nil
			parts[family] = &part
		}
		parts[family].VIPs = append(parts[family].VIPs, a)
	}
	var out []*model.Frontend
	for _, family := range []Family{IPv4, IPv6} {
		if parts[family] != nil {
			out = append(out, parts[family])
		}
	}
	return out
}

// prefer is the family of a backend's endpoints that a destination has.
func (f Family) prefer(eps []model.Endpoint) Family {
	if f != AnyFamily {
		return f
	}
	for _, e := range eps {
		if FamilyOf(e.Addr.Addr()) == IPv4 {
			return IPv4
		}
	}
	return IPv6
}
