package object

import "net/netip"

// Address reads an address at which clients dial something, and tells whether it is
// one: unicast, and not one that means something else in each network namespace or
// on each link. A service there would take a pod's own connections away.
func Address(text string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" || !a.Unmap().IsGlobalUnicast() {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}
