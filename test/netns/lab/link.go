package lab

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	vnetns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The addresses of the fabric: the node's own, and the gateway that every pod
// sees at the other end of its veth.
var (
	nodeV4    = netip.MustParseAddr("10.77.255.1")
	nodeV6    = netip.MustParseAddr("fd77::ffff:1")
	gatewayV4 = netip.MustParseAddr("169.254.1.1")
	gatewayV6 = netip.MustParseAddr("fe80::1")
)

// netspace is a network namespace being configured.
type netspace struct {
	*netlink.Handle
	fd vnetns.NsHandle
}

func openNetspace(path string) (*netspace, error) {
	fd, err := vnetns.GetFromPath(path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	h, err := netlink.NewHandleAt(fd)
	if err != nil {
		_ = fd.Close()
		return nil, fmt.Errorf("netlink in %s: %w", path, err)
	}
	return &netspace{h, fd}, nil
}

func (s *netspace) close() {
	s.Close()
	_ = s.fd.Close()
}

func (s *netspace) up(name string, addrs ...netip.Addr) (netlink.Link, error) {
	l, err := s.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("link %s: %w", name, err)
	}
	for _, a := range addrs {
		addr := &netlink.Addr{IPNet: host(a)}
		if a.Is6() {
			addr.Flags = unix.IFA_F_NODAD
		}
		if err := s.AddrAdd(l, addr); err != nil {
			return nil, fmt.Errorf("add %s to %s: %w", a, name, err)
		}
	}
	if err := s.LinkSetUp(l); err != nil {
		return nil, fmt.Errorf("set %s up: %w", name, err)
	}
	return l, nil
}

func (s *netspace) route(r netlink.Route) error {
	if err := s.RouteReplace(&r); err != nil {
		return fmt.Errorf("add route %s: %w", r, err)
	}
	return nil
}

// host is the network of one address.
func host(a netip.Addr) *net.IPNet {
	return &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}
}

// makeNode configures a node's network namespace: it routes, and it has
// addresses of its own. What it has no route for it refuses at once.
func makeNode(netns string) error {
	err := sysctls(netns, map[string]string{
		"net/ipv4/ip_forward":              "1",
		"net/ipv6/conf/all/forwarding":     "1",
		"net/ipv6/conf/default/accept_dad": "0",
		// Refusals are not to be rationed: a client that is told at once doesn't
		// wait for its next SYN. The masks name the ICMP types that are.
		"net/ipv4/icmp_ratemask": "0",
		"net/ipv6/icmp/ratemask": "2",
	})
	if err != nil {
		return err
	}
	s, err := openNetspace(netns)
	if err != nil {
		return err
	}
	defer s.close()
	_, err = s.up("lo", nodeV4, nodeV6)
	return err
}

// joinPod connects a pod's network namespace to its node's by a veth.
func joinPod(nodeNetns, podNetns, veth string, addrs []netip.Addr) error {
	if err := sysctls(podNetns, map[string]string{"net/ipv6/conf/default/accept_dad": "0"}); err != nil {
		return err
	}
	node, err := openNetspace(nodeNetns)
	if err != nil {
		return err
	}
	defer node.close()
	pod, err := openNetspace(podNetns)
	if err != nil {
		return err
	}
	defer pod.close()

	attrs := netlink.NewLinkAttrs()
	attrs.Name = veth
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(pod.fd)}
	if err := node.LinkAdd(pair); err != nil {
		return fmt.Errorf("add veth %s: %w", veth, err)
	}
	if err := podSide(pod, addrs); err != nil {
		return err
	}
	return nodeSide(node, veth, addrs)
}

func podSide(pod *netspace, addrs []netip.Addr) error {
	if _, err := pod.up("lo"); err != nil {
		return err
	}
	eth0, err := pod.up("eth0", addrs...)
	if err != nil {
		return err
	}
	i := eth0.Attrs().Index
	for _, r := range []netlink.Route{
		{LinkIndex: i, Dst: host(gatewayV4), Scope: netlink.SCOPE_LINK},
		{LinkIndex: i, Gw: gatewayV4.AsSlice()},
		{LinkIndex: i, Gw: gatewayV6.AsSlice()},
	} {
		if err := pod.route(r); err != nil {
			return err
		}
	}
	return nil
}

func nodeSide(node *netspace, veth string, addrs []netip.Addr) error {
	l, err := node.up(veth, gatewayV4, gatewayV6)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		src := nodeV4
		if a.Is6() {
			src = nodeV6
		}
		r := netlink.Route{LinkIndex: l.Attrs().Index, Dst: host(a), Src: src.AsSlice(), Scope: netlink.SCOPE_LINK}
		if err := node.route(r); err != nil {
			return err
		}
	}
	return nil
}

// unreachable makes a network namespace refuse an address range by itself.
func unreachable(netns string, prefix netip.Prefix) error {
	s, err := openNetspace(netns)
	if err != nil {
		return err
	}
	defer s.close()
	dst := &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())}
	return s.route(netlink.Route{Dst: dst, Type: unix.RTN_UNREACHABLE})
}

// deleteLink removes a veth of the node, and its peer with it.
func deleteLink(nodeNetns, veth string) error {
	node, err := openNetspace(nodeNetns)
	if err != nil {
		return err
	}
	defer node.close()
	l, err := node.LinkByName(veth)
	if err != nil {
		return err
	}
	return node.LinkDel(l)
}
