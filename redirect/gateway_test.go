package redirect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"sluice.io/sluice/model"
)

// The addresses of the node in these tests: its own, and those of gateways.
const (
	nodeAddr4, nodeAddr6       = "198.51.100.1", "2001:db8:1::1"
	outsideAddr4, outsideAddr6 = "198.51.100.2", "2001:db8:1::2"
	gateAddr4, gateAddr6       = "192.0.2.1", "2001:db8::1"
)

// newGatewayNode is a node with the addresses above, and a machine outside.
func newGatewayNode(t *testing.T) (node, outside *pod) {
	t.Helper()
	node, outside = newPod(t), newPod(t)
	var tid int
	outside.do(func() { tid = unix.Gettid() })
	node.ip(fmt.Sprintf("link add outside type veth peer name eth0 netns %d", tid),
		"addr add "+nodeAddr4+"/24 dev outside", "addr add "+nodeAddr6+"/64 dev outside nodad",
		"addr add "+gateAddr4+"/32 dev lo", "addr add "+gateAddr6+"/128 dev lo nodad", "link set outside up")
	outside.ip("addr add "+outsideAddr4+"/24 dev eth0", "addr add "+outsideAddr6+"/64 dev eth0 nodad", "link set eth0 up",
		"route add 192.0.2.0/24 via "+nodeAddr4, "route add 2001:db8::/64 via "+nodeAddr6)
	return node, outside
}

func (p *pod) ip(commands ...string) {
	p.t.Helper()
	p.do(func() {
		cmd := exec.Command("ip", "-batch", "-")
		cmd.Stdin = strings.NewReader(strings.Join(commands, "\n"))
		if out, err := cmd.CombinedOutput(); err != nil {
			p.t.Errorf("ip: %v: %s", err, out)
		}
	})
}

// openAt opens the data path of a node.
func openAt(t *testing.T, node *pod, cfg Config) *Datapath {
	t.Helper()
	var (
		d   *Datapath
		err error
	)
	node.do(func() { d, err = Open(cfg) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// playGateway listens where Envoy does for gateways, with so many workers, and
// tells each client who he is, what was dialled, and from where.
func playGateway(name, workers string) error {
	n, err := strconv.Atoi(workers)
	if err != nil {
		return err
	}
	share := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		}), err)
	}}
	share.SetMultipathTCP(false) // Envoy has none
	for i := range n {
		for _, addr := range []string{"127.0.0.1:15006", "[::1]:15006"} {
			l, err := share.Listen(context.Background(), "tcp", addr)
			if err != nil {
				return err
			}
			go serveGateway(l, fmt.Sprintf("%s%d", name, i))
		}
	}
	fmt.Println("ready")
	select {}
}

func serveGateway(l net.Listener, worker string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			from, _, _ := net.SplitHostPort(c.RemoteAddr().String())
			fmt.Fprintln(c, worker, originalDst(c.(*net.TCPConn)), from)
			_, _ = io.Copy(c, c)
		}()
	}
}

func startGateway(t *testing.T, node *pod, cgroup, name string, workers int) *process {
	t.Helper()
	p := node.start("gateway", cgroup, name, fmt.Sprint(workers))
	if line, err := p.line(); line != "ready" {
		t.Fatal(line, err)
	}
	return p
}

// wantReach dials and wants to be told that.
func wantReach(t *testing.T, p *pod, addr, want string) {
	t.Helper()
	if got, err := p.reach("tcp", addr); err != nil || got != want {
		t.Errorf("%s led to %q, %v; want %q", addr, got, err, want)
	}
}

func wantRefused(t *testing.T, p *pod, addr string) {
	t.Helper()
	if got, err := p.reach("tcp", addr); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("%s led to %q, %v; want it refused", addr, got, err)
	}
}

// TestGateways: connections to a gateway's address reach Envoy with what was
// dialled and who dialled, from outside and from the node itself; without Envoy
// they are refused, although another process listens on all addresses; and
// whatever is no gateway's is untouched.
func TestGateways(t *testing.T) {
	cfg := testConfig(t)
	node, outside := newGatewayNode(t)
	node.serve(":80")
	node.serve(":81")
	node.serve("127.0.0.1:8080")
	node.serveUDP(":8080")
	d := openAt(t, node, cfg)
	b := newMesh().gateway("both", 80, 20000, gateAddr4, gateAddr6).gateway("any", 8080, 0)
	mustSync(t, d, b.m)

	gates := []string{gateAddr4 + ":80", "[" + gateAddr6 + "]:80"}
	targets := []string{nodeAddr4 + ":20000", "[" + nodeAddr6 + "]:20000", nodeAddr4 + ":8080", "[" + gateAddr6 + "]:8080"}
	wantUntouched(t, "without Envoy", node, outside)
	for _, addr := range append(gates, targets...) {
		wantRefused(t, outside, addr)
		wantRefused(t, node, addr)
	}
	wantRefused(t, node, "127.0.0.1:8080")

	envoy := startGateway(t, node, cfg.EnvoyCgroup, "w", 1)
	for _, addr := range append(gates, targets...) {
		from := outsideAddr4
		if strings.HasPrefix(addr, "[") {
			from = outsideAddr6
		}
		wantReach(t, outside, addr, "w0 "+addr+" "+from)
		line, err := node.reach("tcp", addr)
		if err != nil || !strings.HasPrefix(line, "w0 "+addr) {
			t.Errorf("from the node, %s led to %q, %v", addr, line, err)
		}
	}
	wantReach(t, node, "127.0.0.1:8080", "w0 127.0.0.1:8080 127.0.0.1")
	wantUntouched(t, "with Envoy", node, outside)
	for _, addr := range []string{"127.0.0.1:15006", "[::1]:15006"} {
		line, err := node.reach("tcp", addr)
		if fields := strings.TrimPrefix(line, "w0 "); err != nil || !noDestination("envoy "+strings.TrimSuffix(strings.TrimSuffix(fields, " 127.0.0.1"), " ::1")) {
			t.Errorf("Envoy's own port %s, dialled by itself, has the destination %q, %v", addr, line, err)
		}
	}
	if n := mustDump(t, d).Counters["gateways"]; n != 13 {
		t.Errorf("%d connections counted, want 13", n)
	}

	envoy.kill()
	for _, addr := range append(gates, targets...) {
		eventually(t, addr+" is refused", func() error {
			if line, err := outside.reach("tcp", addr); !errors.Is(err, unix.ECONNREFUSED) {
				return fmt.Errorf("led to %q, %w", line, err)
			}
			return nil
		})
	}
	startGateway(t, node, cfg.EnvoyCgroup, "again", 1)
	wantReach(t, outside, gates[0], "again0 "+gates[0]+" "+outsideAddr4)

	// Ports come and go.
	if err := d.Apply(&model.Delta{Ports: map[model.PortKey]*model.GatewayPort{
		{Gateway: model.GatewayKey{Namespace: "shop", Name: "both"}, Port: 80, Protocol: model.TCP}: nil,
	}}); err != nil {
		t.Fatal(err)
	}
	wantReach(t, outside, gates[0], ":80")
	wantRefused(t, outside, targets[0])
	wantReach(t, outside, targets[2], "again0 "+targets[2]+" "+outsideAddr4)
}

// wantUntouched expects what the node serves on other addresses, ports and
// protocols than the gateways' to be served by it still.
func wantUntouched(t *testing.T, when string, node, outside *pod) {
	t.Helper()
	for addr, want := range map[string]string{
		nodeAddr4 + ":80": ":80", "[" + nodeAddr6 + "]:80": ":80", gateAddr4 + ":81": ":81", "[" + gateAddr6 + "]:81": ":81",
	} {
		for _, from := range []*pod{outside, node} {
			if got, err := from.reach("tcp", addr); err != nil || got != want {
				t.Errorf("%s, %s led to %q, %v; it is no gateway's", when, addr, got, err)
			}
		}
	}
	if got, err := outside.ask(nodeAddr4 + ":8080"); err != nil || got != ":8080" {
		t.Errorf("%s, UDP led to %q, %v; only TCP is a gateway's", when, got, err)
	}
	wantRefused(t, outside, gateAddr4+":20001")
}

// ask sends a datagram and returns the answer.
func (p *pod) ask(addr string) (string, error) {
	c, err := p.dial("udp", addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := c.Write([]byte("?")); err != nil {
		return "", err
	}
	b := make([]byte, 100)
	n, err := c.Read(b)
	return string(b[:n]), err
}

// TestEnvoysWorkersShareTheConnections: any registered socket stands for all of
// Envoy's workers.
func TestEnvoysWorkersShareTheConnections(t *testing.T) {
	const workers, n = 4, 400
	cfg := testConfig(t)
	node, outside := newGatewayNode(t)
	d := openAt(t, node, cfg)
	mustSync(t, d, newMesh().gateway("g", 80, 0, gateAddr4, gateAddr6).m)
	startGateway(t, node, cfg.EnvoyCgroup, "w", workers)
	for _, addr := range []string{gateAddr4 + ":80", "[" + gateAddr6 + "]:80"} {
		got := map[string]int{}
		for range n {
			line, err := outside.reach("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			worker, _, _ := strings.Cut(line, " ")
			got[worker]++
		}
		least := slices.Min(slices.Collect(maps.Values(got)))
		if len(got) != workers || least < n/workers/3 {
			t.Errorf("%s: the workers had %v of %d connections", addr, got, n)
		}
	}
}

// TestOnlyEnvoyServesGateways: who is not in Envoy's cgroup, or listens in
// another network namespace or on another port, is given nothing.
func TestOnlyEnvoyServesGateways(t *testing.T) {
	cfg := testConfig(t)
	node, outside := newGatewayNode(t)
	d := openAt(t, node, cfg)
	mustSync(t, d, model.NewMesh())
	others := filepath.Join(cfg.CgroupRoot, "clients")
	// As long as there is no gateway, Envoy's port is anybody's.
	thief := startGateway(t, node, others, "thief", 1)
	startGateway(t, outside, cfg.EnvoyCgroup, "elsewhere", 1)
	mustSync(t, d, newMesh().gateway("g", 80, 0, gateAddr4).m)
	wantRefused(t, outside, gateAddr4+":80")
	wantRefused(t, node, gateAddr4+":80")
	if n := registered(t, d); n != 0 {
		t.Errorf("%d sockets are registered, and none is Envoy's", n)
	}
	thief.kill()

	late := node.start("bind", others, "127.0.0.1:15006")
	if line, err := late.line(); err != nil || !strings.Contains(line, unix.EPERM.Error()) {
		t.Errorf("somebody binds Envoy's port: %q, %v", line, err)
	}
	if line, err := outside.start("bind", others, "127.0.0.1:15006").line(); err != nil || !strings.Contains(line, unix.EADDRINUSE.Error()) {
		t.Errorf("outside of the node the port is anybody's: %q, %v", line, err)
	}
	startGateway(t, node, cfg.EnvoyCgroup, "w", 1)
	wantReach(t, outside, gateAddr4+":80", "w0 "+gateAddr4+":80 "+outsideAddr4)
	if n := registered(t, d); n != 2 {
		t.Errorf("%d sockets are registered, want 2", n)
	}
}

// registered counts Envoy's listening sockets that the kernel knows.
func registered(t *testing.T, d *Datapath) int {
	t.Helper()
	n := 0
	for slot := range d.maps["sl_listeners"].MaxEntries() {
		var cookie uint64
		switch err := d.maps["sl_listeners"].Lookup(slot, &cookie); {
		case err == nil:
			n++
		case !errors.Is(err, ebpf.ErrKeyNotExist):
			t.Fatal(err)
		}
	}
	return n
}

// TestEnvoysComeAndGo: an Envoy that starts while another runs, and stays when
// that goes, serves without a gap; no socket is left registered.
func TestEnvoysComeAndGo(t *testing.T) {
	cfg := testConfig(t)
	node, outside := newGatewayNode(t)
	d := openAt(t, node, cfg)
	mustSync(t, d, newMesh().gateway("g", 80, 0, gateAddr4, gateAddr6).m)
	envoy := startGateway(t, node, cfg.EnvoyCgroup, "w", 3)
	for range 5 {
		// More workers, or fewer.
		next := startGateway(t, node, cfg.EnvoyCgroup, "w", 1+registered(t, d)%5)
		envoy.kill() // connections that wait in its queue are reset; there are none
		envoy = next
		for range 20 {
			for _, addr := range []string{gateAddr4 + ":80", "[" + gateAddr6 + "]:80"} {
				if line, err := outside.reach("tcp", addr); err != nil {
					t.Fatalf("%s led to %q, %v", addr, line, err)
				}
			}
		}
	}
	envoy.kill()
	eventually(t, "no socket is registered", func() error {
		if n := registered(t, d); n != 0 {
			return fmt.Errorf("%d are", n)
		}
		return nil
	})
}

// TestPinsAreLost: Envoy listens already when the data path is made.
func TestPinsAreLost(t *testing.T) {
	cfg := testConfig(t)
	node, outside := newGatewayNode(t)
	startGateway(t, node, cfg.EnvoyCgroup, "w", 3)
	startGateway(t, outside, cfg.EnvoyCgroup, "elsewhere", 1)
	for range 2 {
		d := openAt(t, node, cfg)
		mustSync(t, d, newMesh().gateway("g", 80, 0, gateAddr4, gateAddr6).m)
		if n := registered(t, d); n != 6 {
			t.Errorf("%d sockets are registered, want 6", n)
		}
		for _, addr := range []string{gateAddr4 + ":80", "[" + gateAddr6 + "]:80"} {
			if line, err := outside.reach("tcp", addr); err != nil || !strings.HasPrefix(line, "w") {
				t.Errorf("%s led to %q, %v", addr, line, err)
			}
		}
		d.Close()
		if err := os.RemoveAll(cfg.BPFFS); err != nil {
			t.Fatal(err)
		}
	}
}

// TestGatewaysUnderLoad: no connection fails while sluice goes, comes back,
// moves to another layout, and changes ports.
func TestGatewaysUnderLoad(t *testing.T) {
	cfg := testConfig(t)
	node, outside := newGatewayNode(t)
	d := openAt(t, node, cfg)
	// Envoy is given its listener before the first Sync.
	startGateway(t, node, cfg.EnvoyCgroup, "w", 2)
	b := newMesh().gateway("g", 80, 0, gateAddr4, gateAddr6)
	mustSync(t, d, b.m)
	links := linkIDs(t, cfg)
	l := newLoad([]string{gateAddr4 + ":80", "[" + gateAddr6 + "]:80"}, func(addr string) error {
		line, err := outside.reach("tcp", addr)
		if err == nil && !strings.Contains(line, " "+addr+" ") {
			err = fmt.Errorf("led to %q", line)
		}
		return err
	})
	for i := range uint32(3) {
		l.more(t, 100)
		d.Close()
		l.more(t, 50)
		if i > 0 {
			cfg.Sizes["sl_steering"] = 100 + i
		}
		d = openAt(t, node, cfg)
		l.more(t, 50)
		mustSync(t, d, b.m)
		for port := range uint16(20) {
			if err := d.Apply(newMesh().gateway("more", 1000+port, 0, gateAddr4).m.All()); err != nil {
				t.Fatal(err)
			}
		}
	}
	l.more(t, 100)
	l.end(t)
	if now := linkIDs(t, cfg); !slices.Equal(now, links) {
		t.Errorf("links were %v, and are %v", links, now)
	}
	mustSync(t, d, b.m)
	if got := mustDump(t, d).Gateways; len(got) != 3 {
		t.Errorf("after Sync there are %v", got)
	}
	sameAsFresh(t, 0, loadTables(t, d), b.m)
}

// TestUninstallGivesPortsBack: nothing is attached to the node's network
// namespace any more, and a gateway's port is the node's again.
func TestUninstallGivesPortsBack(t *testing.T) {
	cfg := testConfig(t)
	node, outside := newGatewayNode(t)
	node.serve(":80")
	d := openAt(t, node, cfg)
	mustSync(t, d, newMesh().gateway("g", 80, 0, gateAddr4).m)
	startGateway(t, node, cfg.EnvoyCgroup, "w", 1)
	attached := func() int {
		result, err := link.QueryPrograms(link.QueryOptions{Target: int(d.node.File.Fd()), Attach: ebpf.AttachSkLookup})
		if err != nil {
			t.Fatal(err)
		}
		return len(result.Programs)
	}
	if n := attached(); n != 1 {
		t.Errorf("%d programs are attached to the node's network namespace", n)
	}
	wantReach(t, outside, gateAddr4+":80", "w0 "+gateAddr4+":80 "+outsideAddr4)
	old, err := outside.dial("tcp", gateAddr4+":80")
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if err := Uninstall(cfg); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nothing is attached", func() error {
		if n := attached(); n != 0 {
			return fmt.Errorf("%d are", n)
		}
		return nil
	})
	wantReach(t, outside, gateAddr4+":80", ":80")
	if line, err := firstLine(old); err != nil || !strings.HasPrefix(line, "w0 ") {
		t.Errorf("a connection that Envoy had: %q, %v", line, err)
	}
	if _, err := os.Stat(cfg.BPFFS); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the pin folder: %v", err)
	}
}
