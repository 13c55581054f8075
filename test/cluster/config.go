package cluster

import (
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"sluice.io/sluice/test/cluster/build"
)

// Config says which cluster to bring up. Its zero value is a good one.
type Config struct {
	// Name tells clusters apart: it starts the names of network namespaces and
	// cgroups. Letters and digits, at most 8; slc when empty.
	Name string
	// Nodes is the number of nodes, 2 when zero.
	Nodes int
	// Ranges are the cluster's addresses, RangesOf(0) when zero. Clusters may have
	// the same ones, but then they can't be joined.
	Ranges Ranges
	// SingleStack leaves IPv6 out.
	SingleStack bool
	// KubeProxy is what serves Services.
	KubeProxy KubeProxy
	// Args are more arguments for components, by name: etcd, apiserver,
	// controller-manager, scheduler, kubelet, kube-proxy, cert-manager. They win over ours.
	Args map[string][]string
	// Images are loaded into each node: names of build.Images, and paths of
	// archives. All of build.Images when nil.
	Images []string
	// GatewayAPI installs the CRDs of that channel: experimental or standard.
	GatewayAPI string
	// CertManager installs cert-manager, its controllers, webhook and CA injector,
	// without its auto-approver.
	CertManager bool
	// Dir is the cluster's folder, /var/tmp/sluice-cluster/<Name> when empty.
	Dir string
	// Progress gets a line for each step.
	Progress io.Writer `json:"-"`
}

// KubeProxy is a mode of kube-proxy.
type KubeProxy string

// The modes of kube-proxy.
const (
	IPTables    KubeProxy = "iptables" // The default.
	NFTables    KubeProxy = "nftables"
	NoKubeProxy KubeProxy = "none"
)

// Ranges are the addresses of a cluster.
type Ranges struct {
	Nodes, Nodes6       netip.Prefix // .1 is the control plane, .10+i is node i.
	Pods, Pods6         netip.Prefix // Node i has the i-th /24, and the i-th /64.
	Services, Services6 netip.Prefix
}

// RangesOf returns ranges that no other number has. Numbers go from 0 to 31.
func RangesOf(number int) Ranges {
	v4 := func(format string, n int) netip.Prefix { return netip.MustParsePrefix(fmt.Sprintf(format, n)) }
	return Ranges{
		Nodes: v4("10.200.%d.0/24", number), Nodes6: v4("fd00:10:200:%d::/64", number),
		Pods: v4("10.%d.0.0/16", 128+number), Pods6: v4("fd00:10:%d::/48", 128+number),
		Services: v4("10.%d.0.0/16", 96+number), Services6: v4("fd00:10:%d::/112", 96+number),
	}
}

const (
	defaultName = "slc"
	parentDir   = "/var/tmp/sluice-cluster"
	// maxNodes keeps node i's addresses within a /24, below those for load balancers.
	maxNodes = 99
)

// Names end up in names of links and paths of sockets, which are short; and no
// name may be the start of another's files.
var nameForm = regexp.MustCompile(`^[a-z][a-z0-9]{0,7}$`)

// complete fills in what the caller left open and refuses what can't work.
func (c *Config) complete() error {
	if c.Name == "" {
		c.Name = defaultName
	}
	if !nameForm.MatchString(c.Name) {
		return fmt.Errorf("cluster name %q: want at most 8 lower-case letters and digits", c.Name)
	}
	if c.Nodes == 0 {
		c.Nodes = 2
	}
	if c.Nodes < 1 || c.Nodes > maxNodes {
		return fmt.Errorf("cluster %s: %d nodes: want 1 to %d", c.Name, c.Nodes, maxNodes)
	}
	if c.Ranges == (Ranges{}) {
		c.Ranges = RangesOf(0)
	}
	if c.KubeProxy == "" {
		c.KubeProxy = IPTables
	}
	if !slices.Contains([]KubeProxy{IPTables, NFTables, NoKubeProxy}, c.KubeProxy) {
		return fmt.Errorf("cluster %s: kube-proxy %q: want iptables, nftables or none", c.Name, c.KubeProxy)
	}
	if !slices.Contains([]string{"", "experimental", "standard"}, c.GatewayAPI) {
		return fmt.Errorf("cluster %s: Gateway API channel %q: want experimental or standard", c.Name, c.GatewayAPI)
	}
	if c.Images == nil {
		c.Images = build.Images()
	}
	if !slices.Contains(c.Images, "pause") {
		c.Images = append([]string{"pause"}, c.Images...) // No pod starts without it.
	}
	if c.Dir == "" {
		c.Dir = dirOf(c.Name)
	}
	return c.checkRanges()
}

// equal compares two configurations, but for where progress goes.
func (c Config) equal(other Config) bool {
	if len(c.Args) == 0 && len(other.Args) == 0 {
		c.Args, other.Args = nil, nil
	}
	c.Progress, other.Progress = nil, nil
	return reflect.DeepEqual(c, other)
}

func dirOf(name string) string { return parentDir + "/" + name }

func (c *Config) checkRanges() error {
	r := c.Ranges
	for what, want := range map[string]struct {
		p    netip.Prefix
		bits int
	}{"nodes": {r.Nodes, 24}, "pods": {r.Pods, 16}, "services": {r.Services, 16}} {
		if !want.p.IsValid() || !want.p.Addr().Is4() || want.p.Bits() != want.bits {
			return fmt.Errorf("cluster %s: range of %s is %s: want an IPv4 /%d", c.Name, what, want.p, want.bits)
		}
	}
	if c.SingleStack {
		return nil
	}
	for what, want := range map[string]struct {
		p    netip.Prefix
		bits int
	}{"nodes": {r.Nodes6, 64}, "pods": {r.Pods6, 48}, "services": {r.Services6, 112}} {
		if !want.p.IsValid() || !want.p.Addr().Is6() || want.p.Bits() != want.bits {
			return fmt.Errorf("cluster %s: range of %s is %s: want an IPv6 /%d", c.Name, what, want.p, want.bits)
		}
	}
	return nil
}

// families picks the ranges that the cluster has.
func (c *Config) families(v4, v6 netip.Prefix) []netip.Prefix {
	if c.SingleStack {
		return []netip.Prefix{v4}
	}
	return []netip.Prefix{v4, v6}
}

func (c *Config) nodeRanges() []netip.Prefix { return c.families(c.Ranges.Nodes, c.Ranges.Nodes6) }
func (c *Config) podRanges() []netip.Prefix  { return c.families(c.Ranges.Pods, c.Ranges.Pods6) }
func (c *Config) serviceRanges() []netip.Prefix {
	return c.families(c.Ranges.Services, c.Ranges.Services6)
}

// controlAddrs are the control plane's addresses, IPv4 first.
func (c *Config) controlAddrs() []netip.Addr { return nth(c.nodeRanges(), 1) }

// nodeAddrs are the addresses of node i, counted from 1.
func (c *Config) nodeAddrs(i int) []netip.Addr { return nth(c.nodeRanges(), 10+i) }

// nth picks an address from each range: to be read alike, its last number has the
// same digits in both families.
func nth(ranges []netip.Prefix, n int) []netip.Addr {
	var all []netip.Addr
	for _, p := range ranges {
		b := p.Masked().Addr().AsSlice()
		last := n
		if p.Addr().Is6() {
			last = asHex(n)
		}
		b[len(b)-1] = byte(last)
		b[len(b)-2] |= byte(last >> 8)
		a, _ := netip.AddrFromSlice(b)
		all = append(all, a)
	}
	return all
}

// asHex is the number whose hexadecimal digits are n's decimal ones.
func asHex(n int) int {
	out := 0
	for shift := 0; n > 0; shift += 4 {
		out |= n % 10 << shift
		n /= 10
	}
	return out
}

// nodePods are the ranges of the pods on node i.
func (c *Config) nodePods(i int) []netip.Prefix {
	var all []netip.Prefix
	for _, p := range c.podRanges() {
		b := p.Masked().Addr().AsSlice()
		bits := 24
		if p.Addr().Is4() {
			b[2] = byte(i)
		} else {
			n := asHex(i)
			b[6], b[7], bits = byte(n>>8), byte(n), 64
		}
		a, _ := netip.AddrFromSlice(b)
		all = append(all, netip.PrefixFrom(a, bits))
	}
	return all
}

// list joins things that print themselves, as arguments want them.
func list[T fmt.Stringer](all []T) string {
	s := make([]string, 0, len(all))
	for _, v := range all {
		s = append(s, v.String())
	}
	return strings.Join(s, ",")
}
