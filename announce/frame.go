package announce

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
)

var (
	broadcast = []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	allNodes  = netip.MustParseAddr("ff02::1")
	// allNodesMAC is where ff02::1 is sent to.
	allNodesMAC = []byte{0x33, 0x33, 0, 0, 0, 1}
)

const (
	etherARP  = 0x0806
	etherIPv6 = 0x86dd

	arpRequest = 1
	arpReply   = 2

	protoICMPv6           = 58
	neighborAdvertisement = 136
	optionTargetMAC       = 2
	// override asks neighbours to replace what they have in their caches.
	override = 0x20
)

// framesFor returns what tells all neighbours that addr is at mac: of IPv4
// gratuitous ARP in both forms, as a request and as a reply, since there are
// hosts that heed only one of them (RFC 5227 section 3); of IPv6 an unsolicited
// neighbour advertisement (RFC 4861 section 7.2.6).
func framesFor(mac net.HardwareAddr, addr netip.Addr) [][]byte {
	if addr.Is4() {
		return [][]byte{arp(arpRequest, mac, addr), arp(arpReply, mac, addr)}
	}
	return [][]byte{advertisement(mac, addr)}
}

func ethernet(to, from []byte, ethertype uint16) []byte {
	return binary.BigEndian.AppendUint16(slices.Concat(to, from), ethertype)
}

func arp(operation uint16, mac net.HardwareAddr, addr netip.Addr) []byte {
	f := ethernet(broadcast, mac, etherARP)
	f = append(f, 0, 1, 8, 0, 6, 4) // Ethernet, IPv4, lengths
	f = binary.BigEndian.AppendUint16(f, operation)
	f = append(append(f, mac...), addr.AsSlice()...)
	return append(append(f, broadcast...), addr.AsSlice()...)
}

func advertisement(mac net.HardwareAddr, addr netip.Addr) []byte {
	msg := []byte{neighborAdvertisement, 0, 0, 0, override, 0, 0, 0}
	msg = append(msg, addr.AsSlice()...)
	msg = append(append(msg, optionTargetMAC, 1), mac...)
	binary.BigEndian.PutUint16(msg[2:], checksum(addr, allNodes, msg))

	f := ethernet(allNodesMAC, mac, etherIPv6)
	f = append(f, 0x60, 0, 0, 0)
	f = binary.BigEndian.AppendUint16(f, uint16(len(msg)))
	f = append(f, protoICMPv6, 255) // the hop limit proves that it is from this link
	return slices.Concat(f, addr.AsSlice(), allNodes.AsSlice(), msg)
}

// checksum is ICMPv6's, over the message and the pseudo header.
func checksum(from, to netip.Addr, msg []byte) uint16 {
	all := slices.Concat(from.AsSlice(), to.AsSlice())
	all = binary.BigEndian.AppendUint32(all, uint32(len(msg)))
	all = append(append(all, 0, 0, 0, protoICMPv6), msg...)
	var sum uint32
	for i := 0; i+1 < len(all); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(all[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
