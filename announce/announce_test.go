package announce

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"sluice.io/sluice/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	vip4, vip6     = "198.51.100.50", "2001:db8:1::50"
	other4, other6 = "198.51.100.51", "2001:db8:1::51"
)

// machine is a network namespace, entered by one thread that runs functions in it.
type machine struct {
	t     *testing.T
	name  string
	tid   int
	calls chan func()
}

func newMachine(t *testing.T, name string) *machine {
	t.Helper()
	if testing.Short() {
		t.Skip("needs root")
	}
	m := &machine{t: t, name: name, calls: make(chan func())}
	ready := make(chan error)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // never unlocked: the thread ends here, and the namespace with it
		err := unix.Unshare(unix.CLONE_NEWNET)
		m.tid = unix.Gettid()
		ready <- err
		for f := range m.calls {
			f()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(m.calls); <-ended })
	m.ip("link set lo up")
	return m
}

func (m *machine) do(f func()) {
	done := make(chan struct{})
	m.calls <- func() { defer close(done); f() }
	<-done
}

func (m *machine) ip(commands ...string) {
	m.t.Helper()
	if out, err := m.run("ip -batch -", strings.Join(commands, "\n")); err != nil {
		m.t.Fatalf("ip on %s: %v: %s", m.name, err, out)
	}
}

func (m *machine) run(command, input string) (out string, err error) {
	words := strings.Fields(command)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Stdin = strings.NewReader(input)
	m.do(func() {
		var b []byte
		b, err = cmd.CombinedOutput()
		out = string(b)
	})
	return out, err
}

func (m *machine) sysctl(name, value string) {
	m.t.Helper()
	m.do(func() {
		if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0); err != nil {
			m.t.Error(err)
		}
	})
}

// network is a peer whose bridge joins two nodes: all are neighbours.
func network(t *testing.T) (peer *machine, nodes [2]*machine) {
	t.Helper()
	peer = newMachine(t, "peer")
	peer.ip("link add br0 type bridge", "link set br0 up",
		"addr add 198.51.100.254/24 dev br0", "addr add 2001:db8:1::254/64 dev br0 nodad")
	for i := range nodes {
		n := newMachine(t, fmt.Sprintf("node%d", i))
		peer.ip(fmt.Sprintf("link add n%d type veth peer name eth0 netns %d", i, n.tid),
			fmt.Sprintf("link set n%d master br0 up", i))
		n.ip("link set eth0 up", fmt.Sprintf("addr add 198.51.100.%d/24 dev eth0", i+1),
			fmt.Sprintf("addr add 2001:db8:1::%d/64 dev eth0 nodad", i+1))
		n.serve()
		nodes[i] = n
	}
	return peer, nodes
}

// serve tells each client who it has reached, and by which address it came.
func (m *machine) serve() {
	var (
		l   net.Listener
		err error
	)
	m.do(func() { l, err = net.Listen("tcp", ":80") })
	if err != nil {
		m.t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer c.Close()
				// Its address may be gone, and with it the end of the connection.
				defer context.AfterFunc(m.t.Context(), func() { c.Close() })()
				fmt.Fprintln(c, m.name, c.RemoteAddr().(*net.TCPAddr).IP)
				_, _ = io.Copy(c, c)
			})
		}
	})
	m.t.Cleanup(func() { l.Close(); conns.Wait() })
}

func (m *machine) dial(addr string, within time.Duration) (c net.Conn, line string, err error) {
	m.do(func() { c, err = net.DialTimeout("tcp", net.JoinHostPort(addr, "80"), within) })
	if err != nil {
		return nil, "", err
	}
	b := make([]byte, 200)
	if err = c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return c, "", err
	}
	n, err := c.Read(b)
	return c, strings.TrimSpace(string(b[:n])), err
}

func (m *machine) wantReach(addr, want string) {
	m.t.Helper()
	c, line, err := m.dial(addr, 5*time.Second)
	if err != nil || line != want {
		m.t.Errorf("%s reached %q by %s, %v; want %q", m.name, line, addr, err, want)
	}
	if c != nil {
		c.Close()
	}
}

// announcer is a node's, closed at the end.
func (m *machine) announcer(node string) *Announcer {
	m.t.Helper()
	var (
		a   *Announcer
		err error
	)
	m.do(func() { a, err = New(Config{Node: node, Log: slog.New(slog.DiscardHandler)}) })
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { a.Close() })
	return a
}

func mesh(at map[string]string) *model.Mesh {
	m := model.NewMesh()
	for addr, node := range at {
		a := &model.Announcement{Addr: netip.MustParseAddr(addr), Node: node}
		m.Announcements[a.Addr] = a
	}
	return m
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// addresses are what the node has on a link.
func (m *machine) addresses(link string) (addrs []string) {
	m.t.Helper()
	m.do(func() {
		l, err := netlink.LinkByName(link)
		if err != nil {
			return
		}
		all, err := netlink.AddrList(l, netlink.FAMILY_ALL)
		if err != nil {
			m.t.Error(err)
		}
		for _, a := range all {
			if !a.IP.IsLinkLocalUnicast() {
				addrs = append(addrs, a.IPNet.String())
			}
		}
	})
	slices.Sort(addrs)
	return addrs
}

// TestNeighboursReachTheAddress: what is announced here is reached by both
// families, what is another node's is not; the node's own connections do not
// come from it; and nothing stays when it is given up.
func TestNeighboursReachTheAddress(t *testing.T) {
	peer, nodes := network(t)
	peer.serve()
	node := nodes[0]
	a := node.announcer("node0")
	before := node.addresses("eth0")
	must(t, a.Sync(mesh(map[string]string{vip4: "node0", vip6: "", other4: "node1", other6: "node1"})))
	peer.wantReach(vip4, "node0 198.51.100.254")
	peer.wantReach(vip6, "node0 2001:db8:1::254")
	node.wantReach(vip4, "node0 "+vip4)
	node.wantReach("198.51.100.254", "peer 198.51.100.1")
	node.wantReach("2001:db8:1::254", "peer 2001:db8:1::1")
	if got := node.addresses(DefaultLink); !slices.Equal(got, []string{vip4 + "/32", vip6 + "/128"}) {
		t.Errorf("%s has %v", DefaultLink, got)
	}
	gone := model.NewDelta()
	for addr := range mesh(map[string]string{vip4: "", vip6: ""}).Announcements {
		gone.Announcements[addr] = nil
	}
	must(t, a.Apply(gone))
	node.wantNothing(before)
}

// wantNothing: the link is gone, and the interface is as it was.
func (m *machine) wantNothing(before []string) {
	m.t.Helper()
	if got := m.addresses("eth0"); !slices.Equal(got, before) {
		m.t.Errorf("eth0 has %v, had %v", got, before)
	}
	m.do(func() {
		if _, err := netlink.LinkByName(DefaultLink); err == nil {
			m.t.Errorf("%s is there", DefaultLink)
		}
	})
}

// TestAddressMoves: neighbours that know where an address was learn at once
// where it has gone, also when the node that had it does not say so.
func TestAddressMoves(t *testing.T) {
	peer, nodes := network(t)
	announcers := []*Announcer{nodes[0].announcer("node0"), nodes[1].announcer("node1")}
	sync := func(i int, node string) {
		t.Helper()
		must(t, announcers[i].Sync(mesh(map[string]string{vip4: node, vip6: node})))
	}
	sync(0, "node0")
	peer.wantReach(vip4, "node0 198.51.100.254")
	peer.wantReach(vip6, "node0 2001:db8:1::254")
	for round, node := range []string{"node1", "node0", "node1"} {
		taker := (round + 1) % 2
		if round == 1 {
			sync(1-taker, node) // gives up first; the other rounds: too late
		}
		sync(taker, node)
		for _, addr := range []string{vip4, vip6} {
			from := map[string]string{vip4: "198.51.100.254", vip6: "2001:db8:1::254"}[addr]
			eventually(t, addr+" is at "+node, func() error {
				c, line, err := peer.dial(addr, time.Second)
				if c != nil {
					c.Close()
				}
				if want := node + " " + from; err != nil || line != want {
					return fmt.Errorf("%q, %w", line, err)
				}
				return nil
			})
		}
		sync(1-taker, node)
	}
}

// TestNextRunTakesOver: what stays is not touched, what is not wanted any more
// goes.
func TestNextRunTakesOver(t *testing.T) {
	peer, nodes := network(t)
	node := nodes[0]
	before := node.addresses("eth0")
	a := node.announcer("node0")
	must(t, a.Sync(mesh(map[string]string{vip4: "", vip6: "", other4: "", other6: ""})))
	var conns []net.Conn
	for _, addr := range []string{vip4, vip6} {
		c, _, err := peer.dial(addr, 5*time.Second)
		must(t, err)
		defer c.Close()
		conns = append(conns, c)
	}
	changes := node.watch()
	next := node.announcer("node0")
	must(t, next.Sync(mesh(map[string]string{vip4: "", vip6: ""})))
	for _, c := range conns {
		if _, err := fmt.Fprint(c, "still here"); err != nil {
			t.Error(err)
		}
		b := make([]byte, 20)
		if n, err := c.Read(b); err != nil || string(b[:n]) != "still here" {
			t.Errorf("%s: %q, %v", c.RemoteAddr(), b[:n], err)
		}
	}
	if got := node.addresses(DefaultLink); !slices.Equal(got, []string{vip4 + "/32", vip6 + "/128"}) {
		t.Errorf("%s has %v", DefaultLink, got)
	}
	for _, addr := range changes() {
		if addr != other4 && addr != other6 {
			t.Errorf("%s was touched", addr)
		}
	}
	for range 2 {
		node.do(func() { must(t, Uninstall(Config{})) })
		node.wantNothing(before)
	}
}

// watch returns what tells which addresses were added or removed since.
func (m *machine) watch() func() []string {
	updates, done := make(chan netlink.AddrUpdate, 100), make(chan struct{})
	m.do(func() { must(m.t, netlink.AddrSubscribe(updates, done)) })
	return func() (touched []string) {
		m.ip("addr add 203.0.113.1/32 dev lo") // the last one
		for u := range updates {
			if u.LinkAddress.IP.String() == "203.0.113.1" {
				close(done)
				for range updates { //nolint:revive // until the subscription has ended
				}
				return touched
			}
			touched = append(touched, u.LinkAddress.IP.String())
		}
		return touched
	}
}

// TestStrictARP: a kernel that answers only for an interface's own addresses, as
// kube-proxy's IPVS mode sets it.
func TestStrictARP(t *testing.T) {
	peer, nodes := network(t)
	nodes[0].sysctl("net/ipv4/conf/all/arp_ignore", "1")
	nodes[0].sysctl("net/ipv4/conf/all/arp_announce", "2")
	before := nodes[0].addresses("eth0")
	a := nodes[0].announcer("")
	must(t, a.Sync(mesh(map[string]string{vip4: "", vip6: ""})))
	peer.wantReach(vip4, "node0 198.51.100.254")
	peer.wantReach(vip6, "node0 2001:db8:1::254")
	must(t, a.Sync(model.NewMesh()))
	nodes[0].wantNothing(before)
}

// TestRunMends: what somebody else removes comes back, and neighbours are told
// more than once.
func TestRunMends(t *testing.T) {
	peer, nodes := network(t)
	node := nodes[0]
	peer.sysctl("net/ipv4/conf/br0/arp_accept", "1") // learns by being told
	a := node.announcer("")
	a.every = 20 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() {
		if err := a.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	defer run.Wait()
	defer cancel()
	must(t, a.Sync(mesh(map[string]string{vip4: "", vip6: ""})))
	for range 2 {
		peer.ip("neigh flush dev br0")
		eventually(t, "the peer is told again", func() error {
			out, err := peer.run("ip neigh show "+vip4, "")
			if err != nil || !strings.Contains(out, "lladdr") {
				return fmt.Errorf("the peer knows %q, %w", out, err)
			}
			return nil
		})
	}
	for _, command := range []string{
		"addr del " + vip4 + "/32 dev sluice0", "addr del " + vip6 + "/128 dev sluice0", "addr del " + vip6 + "/128 dev eth0",
		"link del sluice0", "link set sluice0 down",
	} {
		node.ip(command)
		eventually(t, "after "+command, func() error {
			for _, addr := range []string{vip4, vip6} {
				c, _, err := peer.dial(addr, time.Second)
				if err != nil {
					return err
				}
				c.Close()
			}
			if got := node.addresses(DefaultLink); len(got) != 2 {
				return fmt.Errorf("%s has %v", DefaultLink, got)
			}
			return nil
		})
	}
}

// TestOthersAreLeftAlone: an operator's address is not removed, a link that is
// not ours is not used, and an address that cannot be is told of.
func TestOthersAreLeftAlone(t *testing.T) {
	_, nodes := network(t)
	node := nodes[0]
	node.ip("addr add "+vip6+"/64 dev eth0 nodad", "addr add "+vip4+"/24 dev eth0")
	before := node.addresses("eth0")
	a := node.announcer("")
	must(t, a.Sync(mesh(map[string]string{vip4: "", vip6: ""})))
	must(t, a.Sync(model.NewMesh()))
	node.wantNothing(before)

	if err := a.Sync(mesh(map[string]string{"127.0.0.1": "", "ff02::1": "", vip4: ""})); err == nil ||
		!strings.Contains(err.Error(), "take 127.0.0.1") || !strings.Contains(err.Error(), "take ff02::1") {
		t.Errorf("addresses that cannot be: %v", err)
	}
	if got := node.addresses(DefaultLink); !slices.Equal(got, []string{vip4 + "/32"}) {
		t.Errorf("the address that can be: %v", got)
	}
	must(t, a.Sync(model.NewMesh()))

	node.ip("link add " + DefaultLink + " type bridge")
	if err := a.Sync(mesh(map[string]string{vip4: ""})); err == nil || !strings.Contains(err.Error(), "is not Sluice's") {
		t.Errorf("somebody else's link: %v", err)
	}
	node.do(func() {
		if err := Uninstall(Config{}); err == nil {
			t.Error("somebody else's link was removed")
		}
	})
	node.ip("link del " + DefaultLink)
}

// TestNoIPv6 tells of the families apart.
func TestNoIPv6(t *testing.T) {
	peer, nodes := network(t)
	nodes[0].sysctl("net/ipv6/conf/all/disable_ipv6", "1")
	nodes[0].sysctl("net/ipv6/conf/default/disable_ipv6", "1")
	a := nodes[0].announcer("")
	if err := a.Sync(mesh(map[string]string{vip4: "", vip6: ""})); err == nil || !strings.Contains(err.Error(), "IPv6 is disabled") {
		t.Errorf("without IPv6: %v", err)
	}
	peer.wantReach(vip4, "node0 198.51.100.254")
	must(t, a.Sync(model.NewMesh()))
}

func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
