package redirect

import (
	"encoding/binary"
	"net/netip"

	"sluice.io/sluice/bpf"
	"sluice.io/sluice/model"
)

// family is an address family as the maps number it (AF_INET, AF_INET6).
type family uint32

const (
	ipv4 family = 2
	ipv6 family = 10
)

func (f family) String() string {
	if f == ipv4 {
		return "IPv4"
	}
	return "IPv6"
}

func familyOf(a netip.Addr) family {
	if a.Unmap().Is4() {
		return ipv4
	}
	return ipv6
}

// toAddr is an address in the maps' form: 16 bytes in network order.
func toAddr(a netip.Addr) bpf.Addr {
	var out bpf.Addr
	b := a.As16()
	for i := range out.W {
		out.W[i] = binary.NativeEndian.Uint32(b[4*i:])
	}
	return out
}

func fromAddr(a bpf.Addr) netip.Addr {
	var b [16]byte
	for i, w := range a.W {
		binary.NativeEndian.PutUint32(b[4*i:], w)
	}
	return netip.AddrFrom16(b).Unmap()
}

// toPort is a port in network order.
func toPort(p uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], p)
	return binary.NativeEndian.Uint16(b[:])
}

func fromPort(p uint16) uint16 { return toPort(p) }

func toEndpoint(a netip.AddrPort, group uint32) bpf.Endpoint {
	return bpf.Endpoint{Ip: toAddr(a.Addr()), Port: toPort(a.Port()), Group: group}
}

func fromEndpoint(e bpf.Endpoint) netip.AddrPort {
	return netip.AddrPortFrom(fromAddr(e.Ip), fromPort(e.Port))
}

const (
	protoTCP = 6
	protoUDP = 17
)

func toProto(p model.Protocol) uint8 {
	if p == model.UDP {
		return protoUDP
	}
	return protoTCP
}

func fromProto(p uint8) model.Protocol {
	if p == protoUDP {
		return model.UDP
	}
	return model.TCP
}
