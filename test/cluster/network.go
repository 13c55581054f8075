package cluster

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	vnetns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"sluice.io/sluice/test/namespaces"
)

// Links: the control plane has a bridge, and one end of a veth for each node.
const (
	bridge   = "br0"
	nodeLink = "eth0"
)

// settings for all our namespaces. Forwarding comes before addresses and routes:
// it changes what IPv6 does with them. Bridged frames are no business of iptables.
var settings = map[string]string{
	"ipv4/ip_forward":                 "1",
	"ipv4/conf/all/rp_filter":         "0",
	"ipv4/conf/default/rp_filter":     "0",
	"ipv6/conf/all/disable_ipv6":      "0",
	"ipv6/conf/all/forwarding":        "1",
	"bridge/bridge-nf-call-iptables":  "0",
	"bridge/bridge-nf-call-ip6tables": "0",
}

// makeNetwork makes the network namespaces and what connects them: a bridge, and
// routes to each node's pods.
func (c *Cluster) makeNetwork() error {
	names := []string{controlName}
	for i := 1; i <= c.cfg.Nodes; i++ {
		names = append(names, nodeName(i))
	}
	for _, name := range names {
		if _, err := namespaces.New(c.cfg.Name + "-" + name); err != nil {
			return err
		}
		if err := c.place(name).sysctls(settings); err != nil {
			return err
		}
	}
	control, err := openSpace(c.Control())
	if err != nil {
		return err
	}
	defer control.close()
	if err := control.makeBridge(c.cfg.controlAddrs(), c.cfg.nodeRanges()); err != nil {
		return err
	}
	for i := 1; i <= c.cfg.Nodes; i++ {
		if err := c.connectNode(control, i); err != nil {
			return fmt.Errorf("connect %s: %w", nodeName(i), err)
		}
	}
	return nil
}

// connectNode plugs node i into the bridge, and routes its pods.
func (c *Cluster) connectNode(control *space, i int) error {
	node, err := openSpace(c.Node(i))
	if err != nil {
		return err
	}
	defer node.close()
	if err := control.plug(nodeName(i), node); err != nil {
		return err
	}
	if err := node.up(nodeLink, c.cfg.nodeAddrs(i), c.cfg.nodeRanges()); err != nil {
		return err
	}
	for _, gateway := range c.cfg.controlAddrs() {
		if err := node.route(anywhere(gateway), gateway); err != nil {
			return err
		}
	}
	for j := 1; j <= c.cfg.Nodes; j++ {
		for k, pods := range c.cfg.nodePods(j) {
			if j == i {
				err = control.route(pods, c.cfg.nodeAddrs(i)[k])
			} else {
				err = node.route(pods, c.cfg.nodeAddrs(j)[k])
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// space is a network namespace being configured.
type space struct {
	*netlink.Handle
	name string
	fd   vnetns.NsHandle
}

func openSpace(p Place) (*space, error) {
	fd, err := vnetns.GetFromPath(p.Netns)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", p.Netns, err)
	}
	h, err := netlink.NewHandleAt(fd)
	if err != nil {
		_ = fd.Close()
		return nil, fmt.Errorf("netlink in %s: %w", p.Name, err)
	}
	s := &space{h, p.Name, fd}
	if err := s.up("lo", nil, nil); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *space) close() {
	s.Close()
	_ = s.fd.Close()
}

func (s *space) makeBridge(addrs []netip.Addr, ranges []netip.Prefix) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = bridge
	if err := s.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
		return fmt.Errorf("%s: add bridge: %w", s.name, err)
	}
	return s.up(bridge, addrs, ranges)
}

// plug connects a node to the bridge.
func (s *space) plug(name string, node *space) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: nodeLink, PeerNamespace: netlink.NsFd(node.fd)}
	if err := s.LinkAdd(veth); err != nil {
		return fmt.Errorf("%s: add veth %s: %w", s.name, name, err)
	}
	link, err := s.LinkByName(name)
	if err != nil {
		return err
	}
	br, err := s.LinkByName(bridge)
	if err != nil {
		return err
	}
	if err := s.LinkSetMaster(link, br); err != nil {
		return fmt.Errorf("%s: plug %s: %w", s.name, name, err)
	}
	return s.LinkSetUp(link)
}

// up gives a link its addresses and sets it up. IPv6 addresses are usable at
// once: there is nobody who could have them already.
func (s *space) up(name string, addrs []netip.Addr, ranges []netip.Prefix) error {
	link, err := s.LinkByName(name)
	if err != nil {
		return fmt.Errorf("%s: link %s: %w", s.name, name, err)
	}
	for i, a := range addrs {
		addr := &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(a, ranges[i].Bits()))}
		if a.Is6() {
			addr.Flags = unix.IFA_F_NODAD
		}
		if err := s.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("%s: add %s to %s: %w", s.name, a, name, err)
		}
	}
	if err := s.LinkSetUp(link); err != nil {
		return fmt.Errorf("%s: set %s up: %w", s.name, name, err)
	}
	return nil
}

func (s *space) route(to netip.Prefix, gateway netip.Addr) error {
	if err := s.RouteReplace(&netlink.Route{Dst: ipNet(to), Gw: gateway.AsSlice()}); err != nil {
		return fmt.Errorf("%s: route to %s by %s: %w", s.name, to, gateway, err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// anywhere is the default route of the address's family.
func anywhere(a netip.Addr) netip.Prefix {
	if a.Is4() {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}
