package translate

import (
	"net/netip"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	originaldstv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_dst/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"

	"sluice.io/sluice/model"
)

// refused is the name of a cluster that never exists.
const refused = "sluice:refused"

// Pod is the listener in one network namespace: an address, and no word of what
// the mesh does, so that a workload that comes or goes touches nobody else's
// connections. It is named by its mount path, which carries the identity of
// the workload.
//
// A connection that the kernel redirected goes on to the [VIP] listener of its
// original destination. One that has none was dialled by the workload itself,
// and is closed.
//
// It listens at the loopback addresses that are there: if one could not be bound,
// Envoy would listen at none.
func Pod(at *model.Place) *listenerv3.Listener {
	l := &listenerv3.Listener{
		Name:               at.Mount,
		StatPrefix:         "pod",
		UseOriginalDst:     yes,
		ListenerFilters:    []*listenerv3.ListenerFilter{originalDst},
		DefaultFilterChain: &listenerv3.FilterChain{Filters: []*listenerv3.Filter{refuse}},
	}
	if !at.NoIPv4 {
		l.Address = inNetns(netip.AddrFrom4([4]byte{127, 0, 0, 1}), RedirectPort, at.Mount)
	}
	switch v6 := inNetns(netip.IPv6Loopback(), RedirectPort, at.Mount); {
	case at.NoIPv6:
	case l.Address == nil:
		l.Address = v6
	default:
		l.AdditionalAddresses = []*listenerv3.AdditionalAddress{{Address: v6}}
	}
	return l
}

var originalDst = &listenerv3.ListenerFilter{
	Name:       "envoy.filters.listener.original_dst",
	ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: typed(&originaldstv3.OriginalDst{})},
}

// refuse closes connections and counts them, as tcp.refused.downstream_cx_no_route.
var refuse = networkFilter("envoy.filters.network.tcp_proxy", typed(&tcpproxyv3.TcpProxy{
	StatPrefix:       "refused",
	ClusterSpecifier: &tcpproxyv3.TcpProxy_Cluster{Cluster: refused},
}))
