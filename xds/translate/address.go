package translate

import (
	"net/netip"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// RedirectPort is the port on which Envoy listens in every workload's network
// namespace, on 127.0.0.1 and ::1. The kernel sends it the connections.
const RedirectPort = 15001

func socket(addr netip.AddrPort) *corev3.SocketAddress {
	return &corev3.SocketAddress{
		Address:       addr.Addr().Unmap().String(),
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(addr.Port())},
	}
}

func address(s *corev3.SocketAddress) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: s}}
}

// inNetns is an address inside the network namespace that is mounted at a path.
func inNetns(addr netip.Addr, port uint16, mount string) *corev3.Address {
	s := socket(netip.AddrPortFrom(addr, port))
	s.NetworkNamespaceFilepath = mount
	return address(s)
}
