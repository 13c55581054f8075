package announce

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// state is what the node's interfaces are like at one moment.
type state struct {
	*netlink.Handle
	name  string
	link  netlink.Link // ours; nil when it is not there
	ours  map[netip.Addr]bool
	addrs []netlink.Addr // of the other links
	links map[int]netlink.Link
	// defaults are the interfaces of the default routes, by family.
	defaults map[int]int
}

func keys(m map[netip.Addr]bool) iter.Seq[netip.Addr] { return maps.Keys(m) }

func look(name string) (*state, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	s := &state{Handle: h, name: name, ours: map[netip.Addr]bool{}, links: map[int]netlink.Link{}, defaults: map[int]int{}}
	if err := s.read(); err != nil {
		h.Close()
		return nil, fmt.Errorf("read the node's interfaces: %w", err)
	}
	return s, nil
}

func (s *state) close() { s.Close() }

func (s *state) read() error {
	links, err := s.LinkList()
	if err != nil {
		return err
	}
	for _, l := range links {
		s.links[l.Attrs().Index] = l
		if l.Attrs().Name == s.name {
			s.link = l
		}
	}
	if s.link != nil && s.link.Attrs().Alias != mark {
		return fmt.Errorf("the link %s is not Sluice's: remove or rename it", s.name)
	}
	addrs, err := s.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if s.link == nil || a.LinkIndex != s.link.Attrs().Index {
			s.addrs = append(s.addrs, a)
		} else if addr := addrOf(a.IPNet.IP); !addr.IsLinkLocalUnicast() || isHost(a) {
			s.ours[addr] = true
		}
	}
	return s.readDefaults()
}

func (s *state) readDefaults() error {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := s.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
		if err != nil {
			return err
		}
		best := math.MaxInt
		for _, r := range routes {
			if ones := prefixOf(r.Dst); ones == 0 && r.Priority < best {
				best, s.defaults[family] = r.Priority, interfaceOf(r)
			}
		}
	}
	return nil
}

func prefixOf(dst *net.IPNet) int {
	if dst == nil {
		return 0
	}
	ones, _ := dst.Mask.Size()
	return ones
}

// interfaceOf is the interface of a route, the first if it has several.
func interfaceOf(r netlink.Route) int {
	if len(r.MultiPath) > 0 {
		return r.MultiPath[0].LinkIndex
	}
	return r.LinkIndex
}

func addrOf(ip net.IP) netip.Addr {
	addr, _ := netip.AddrFromSlice(ip)
	return addr.Unmap()
}

func isHost(a netlink.Addr) bool {
	ones, bits := a.Mask.Size()
	return ones == bits
}

// isOurs tells an address that we have added to another link by its shape: for
// one host, and never chosen as the source of a connection.
func isOurs(a netlink.Addr) bool {
	if addrOf(a.IPNet.IP).Is4() {
		return isHost(a) && a.Scope == unix.RT_SCOPE_LINK
	}
	return isHost(a) && a.PreferedLft == 0
}

// uplink is an interface on which neighbours may ask for an address.
type uplink struct {
	index int
	name  string
	mac   net.HardwareAddr // nil when it has no neighbours
}

// uplinkOf returns the interface that has the address's subnet, or that of the
// default route; the zero value when there is neither.
func (s *state) uplinkOf(addr netip.Addr) uplink {
	best, index := 0, s.defaults[familyOf(addr)]
	for _, a := range s.addrs {
		ones, bits := a.Mask.Size()
		if l := s.links[a.LinkIndex]; l == nil || l.Attrs().Flags&net.FlagLoopback != 0 {
			continue
		}
		if ones < bits && ones > best && a.Contains(addr.AsSlice()) {
			best, index = ones, a.LinkIndex
		}
	}
	l := s.links[index]
	if l == nil {
		return uplink{}
	}
	up := uplink{index: index, name: l.Attrs().Name}
	if l.Attrs().EncapType == "ether" && l.Attrs().RawFlags&unix.IFF_NOARP == 0 && len(l.Attrs().HardwareAddr) == 6 {
		up.mac = l.Attrs().HardwareAddr
	}
	return up
}

func familyOf(addr netip.Addr) int {
	if addr.Is4() {
		return netlink.FAMILY_V4
	}
	return netlink.FAMILY_V6
}

// add makes an address the node's, and tells whether it was not before.
func (s *state) add(addr netip.Addr) (changed bool, up uplink, err error) {
	if !addr.IsValid() || addr.IsUnspecified() || addr.IsLoopback() || addr.IsMulticast() {
		return false, uplink{}, errors.New("no address that neighbours could ask for")
	}
	if s.link == nil {
		if err := s.makeLink(); err != nil {
			return false, uplink{}, err
		}
	}
	if !s.ours[addr] {
		if err := s.AddrReplace(s.link, hostAddr(addr)); err != nil {
			return false, uplink{}, fmt.Errorf("add it to %s: %w", s.name, advise(addr, err))
		}
		s.ours[addr], changed = true, true
	}
	up = s.uplinkOf(addr)
	added, err := s.addUp(addr, up)
	return changed || added, up, err
}

// addUp adds an address to the interface on which it is asked for, if the kernel
// would not answer there otherwise, and removes it from others.
func (s *state) addUp(addr netip.Addr, up uplink) (added bool, err error) {
	there := false
	for _, a := range s.addrs {
		if addrOf(a.IPNet.IP) != addr {
			continue
		}
		if a.LinkIndex == up.index || !isOurs(a) {
			there = true // ours, or the operator's
			continue
		}
		if err := s.AddrDel(s.links[a.LinkIndex], &a); err != nil {
			return false, err
		}
	}
	if there || up.mac == nil || answersForOthers(addr, up.name) {
		return false, nil
	}
	if err := s.AddrReplace(s.links[up.index], hostAddr(addr)); err != nil {
		return false, fmt.Errorf("add it to %s: %w", up.name, advise(addr, err))
	}
	return true, nil
}

// answersForOthers tells whether the kernel answers, on an interface, for
// addresses of another: of IPv4 it does unless it was told not to, of IPv6 it
// never does.
func answersForOthers(addr netip.Addr, ifname string) bool {
	if addr.Is6() {
		return false
	}
	for _, name := range []string{"all", ifname} {
		b, err := os.ReadFile(filepath.Join("/proc/sys/net/ipv4/conf", name, "arp_ignore"))
		if n, convErr := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && convErr == nil && n > 0 {
			return false
		}
	}
	return true
}

// hostAddr is an address for one host that is never chosen as the source of a
// connection (IPv4: by its scope; IPv6: deprecated from the start), and that is
// usable at once.
func hostAddr(addr netip.Addr) *netlink.Addr {
	a := &netlink.Addr{IPNet: &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(addr.BitLen(), addr.BitLen())}}
	if addr.Is4() {
		a.Scope = unix.RT_SCOPE_LINK
		return a
	}
	a.Flags = unix.IFA_F_NODAD | unix.IFA_F_NOPREFIXROUTE
	a.ValidLft = math.MaxUint32
	return a
}

func advise(addr netip.Addr, err error) error {
	if addr.Is6() && (errors.Is(err, unix.EACCES) || errors.Is(err, unix.EOPNOTSUPP)) {
		return fmt.Errorf("%w (IPv6 is disabled there: net.ipv6.conf.*.disable_ipv6)", err)
	}
	return err
}

// mark is our link's alias, by which we know it.
const mark = "addresses of Sluice's gateways"

// makeLink makes our link. It has no addresses but those that it is for.
func (s *state) makeLink() error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = s.name
	err := s.LinkAdd(&netlink.Dummy{LinkAttrs: attrs})
	if errors.Is(err, unix.EOPNOTSUPP) {
		// A kernel without CONFIG_DUMMY: a bridge without ports does as well.
		err = s.LinkAdd(&netlink.Bridge{LinkAttrs: attrs})
	}
	if err != nil {
		return fmt.Errorf("make the link %s: %w", s.name, err)
	}
	l, err := s.LinkByName(s.name)
	if err == nil {
		err = s.LinkSetAlias(l, mark)
	}
	if err != nil {
		return fmt.Errorf("make the link %s: %w", s.name, err)
	}
	_ = s.LinkSetIP6AddrGenMode(l, noAddress) // fails where there is no IPv6
	if err := s.LinkSetUp(l); err != nil {
		return fmt.Errorf("set the link %s up: %w", s.name, err)
	}
	s.link = l
	return nil
}

// noAddress is IN6_ADDR_GEN_MODE_NONE.
const noAddress = 1

// remove gives an address up, on our link last: that it is there tells that it
// is ours.
func (s *state) remove(addr netip.Addr) error {
	for _, a := range s.addrs {
		if addrOf(a.IPNet.IP) == addr && isOurs(a) {
			if err := s.AddrDel(s.links[a.LinkIndex], &a); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
				return err
			}
		}
	}
	if err := s.AddrDel(s.link, hostAddr(addr)); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
		return err
	}
	delete(s.ours, addr)
	return nil
}

// tidy removes our link when it has no address, and otherwise sees that it is up.
func (s *state) tidy() error {
	if s.link == nil {
		return nil
	}
	if len(s.ours) == 0 {
		if err := s.LinkDel(s.link); err != nil {
			return fmt.Errorf("remove the link %s: %w", s.name, err)
		}
		return nil
	}
	if s.link.Attrs().Flags&net.FlagUp == 0 {
		return s.LinkSetUp(s.link)
	}
	return nil
}
