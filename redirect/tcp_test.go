package redirect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice.io/sluice/model"
)

// The loopback has all of 127.0.0.0/8: a VIP in it that has a server of its own
// shows whether a connection was steered (to an endpoint) or not (to that
// server).

func TestServicesAreBalancedInTheKernel(t *testing.T) {
	cfg := testConfig(t)
	client := newClient(t, "127.0.0.2:8080", "[fd00::2]:8080")
	b := newMesh().workload(client.workload("shop", "client")).
		backend("l4", 80, model.TCP, "127.0.0.2:8080", "[fd00::2]:8080")
	b.front("l4", 80, model.TCP, addrs("10.96.0.1", "fd96::1"))
	d := openTest(t, cfg)
	mustSync(t, d, b.m)
	for _, c := range []struct{ dial, server, peer string }{
		{"10.96.0.1:80", "127.0.0.2:8080", "10.96.0.1:80"},
		{"[fd96::1]:80", "[fd00::2]:8080", "[fd96::1]:80"},
	} {
		expect(t, client, c.dial, c.server, c.peer)
	}
	// The same from an IPv6 socket with a v4-mapped address.
	peer, line, err := client.mapped("10.96.0.1:80")
	if err != nil || line != "127.0.0.2:8080" || peer != "[::ffff:10.96.0.1]:80" {
		t.Errorf("v4-mapped: server %q, peer %s, %v", line, peer, err)
	}
	if got := mustDump(t, d).Counters["kernelTCP"]; got != 3 {
		t.Errorf("%d connections counted, want 3", got)
	}
}

// expect dials and checks which server it is, and who getpeername shows.
func expect(t *testing.T, p *pod, addr, server, peer string) {
	t.Helper()
	c, err := p.dial("tcp", addr)
	if err != nil {
		t.Errorf("dial %s: %v", addr, err)
		return
	}
	defer c.Close()
	line, err := firstLine(c)
	if err != nil || line != server {
		t.Errorf("%s led to %q (%v), want %q", addr, line, err, server)
	}
	if got := c.RemoteAddr().String(); got != peer {
		t.Errorf("getpeername after %s shows %s, want %s", addr, got, peer)
	}
}

func TestEnvoyGetsTheOriginalDestination(t *testing.T) {
	cfg := testConfig(t)
	client := newPod(t)
	b := newMesh().workload(client.workload("shop", "client"))
	b.l7("web", 80, "10.96.0.2", "fd96::2")
	d := openTest(t, cfg)
	mustSync(t, d, b.m)

	// Closed while Envoy does not run, and nothing stays behind.
	for _, addr := range []string{"10.96.0.2:80", "[fd96::2]:80"} {
		if _, err := client.dial("tcp", addr); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("without Envoy, %s: %v", addr, err)
		}
	}
	if got := mustDump(t, d).Counters["handoffsFailed"]; got != 2 {
		t.Errorf("%d failed connections withdrawn, want 2", got)
	}

	startEnvoy(t, client, cfg)
	expect(t, client, "10.96.0.2:80", "envoy 10.96.0.2:80", "10.96.0.2:80")
	expect(t, client, "[fd96::2]:80", "envoy [fd96::2]:80", "[fd96::2]:80")
	peer, line, err := client.mapped("10.96.0.2:80")
	if err != nil || line != "envoy 10.96.0.2:80" || peer != "[::ffff:10.96.0.2]:80" {
		t.Errorf("v4-mapped: server %q, peer %s, %v", line, peer, err)
	}
	// From an address of the pod's, not the loopback.
	var c net.Conn
	client.do(func() {
		from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.77")}}
		c, err = from.Dial("tcp", "10.96.0.2:80")
	})
	if err != nil {
		t.Fatal(err)
	}
	if line, err := firstLine(c); line != "envoy 10.96.0.2:80" {
		t.Errorf("from a bound address: %q, %v", line, err)
	}
	c.Close()
	eventually(t, "no tuple is left", func() error { return empty(d, "sl_handoffs") })
}

func startEnvoy(t *testing.T, p *pod, cfg Config) *process {
	t.Helper()
	envoy := p.start("envoy", cfg.EnvoyCgroup)
	if line, err := envoy.line(); line != "ready" {
		t.Fatal(line, err)
	}
	return envoy
}

func empty(d *Datapath, name string) error {
	m := d.maps[name]
	key := make([]byte, m.KeySize())
	value := make([]byte, m.ValueSize())
	n := 0
	it := m.Iterate()
	for it.Next(&key, &value) {
		n++
	}
	if err := it.Err(); err != nil {
		return err
	}
	if n > 0 {
		return fmt.Errorf("%s has %d entries", name, n)
	}
	return nil
}

func TestManyConnectionsToEnvoyAtOnce(t *testing.T) {
	cfg := testConfig(t)
	b := newMesh()
	var vips []string
	for i := range 20 {
		vip := fmt.Sprintf("10.96.1.%d", i)
		vips = append(vips, vip+":80")
		b.l7(fmt.Sprintf("web%d", i), 80, vip)
	}
	// Two pods: their loopback tuples repeat.
	pods := []*pod{newPod(t), newPod(t)}
	for i, p := range pods {
		b.workload(p.workload("shop", fmt.Sprintf("client%d", i)))
	}
	d := openTest(t, cfg)
	mustSync(t, d, b.m)
	errs := make(chan error)
	for _, p := range pods {
		startEnvoy(t, p, cfg)
		go func() {
			for i := range 1000 {
				vip := vips[i%len(vips)]
				if line, err := p.reach("tcp", vip); err != nil || line != "envoy "+vip {
					errs <- fmt.Errorf("%s led to %q: %w", vip, line, err)
					return
				}
			}
			errs <- nil
		}()
	}
	for range pods {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	eventually(t, "no tuple is left", func() error { return empty(d, "sl_handoffs") })
}

func TestDiallingEnvoysPortYieldsNoDestination(t *testing.T) {
	cfg := testConfig(t)
	client := newPod(t)
	b := newMesh().workload(client.workload("shop", "client"))
	b.l7("web", 80, "10.96.0.2")
	d := openTest(t, cfg)
	mustSync(t, d, b.m)
	startEnvoy(t, client, cfg)
	for _, addr := range []string{"127.0.0.1:15001", "[::1]:15001"} {
		if line, err := client.reach("tcp", addr); err != nil || !noDestination(line) {
			t.Errorf("%s: %q, %v", addr, line, err)
		}
	}
	// A socket that was redirected, and then dials the port itself.
	var line string
	var err error
	client.do(func() { line, err = reconnect("10.96.0.2", 80, "127.0.0.1", 15001) })
	if err != nil || !noDestination(line) {
		t.Errorf("reconnected: %q, %v", line, err)
	}
	// A redirection by the pod's own rules, which netfilter would answer for.
	client.nft(`table ip slt { chain out { type nat hook output priority -100;
		ip daddr 127.0.9.9 tcp dport 80 dnat to 127.0.0.1:15001
		}
	}`)
	if line, err := client.reach("tcp", "127.0.9.9:80"); err != nil || !noDestination(line) {
		t.Errorf("redirected by netfilter: %q, %v", line, err)
	}
	if got := mustDump(t, d).Counters["handoffsUnknown"]; got != 4 {
		t.Errorf("%d unknown connections counted, want 4", got)
	}
}

func TestNobodyButEnvoyBindsItsPorts(t *testing.T) {
	cfg := testConfig(t)
	client, stranger := newPod(t), newPod(t)
	d := openTest(t, cfg)
	mustSync(t, d, newMesh().workload(client.workload("shop", "client")).m)
	for _, addr := range []string{"127.0.0.1:15001", "0.0.0.0:15001", "[::]:15001", "[::1]:15006", ":15006"} {
		if l, err := client.listen(addr); !errors.Is(err, unix.EPERM) {
			t.Errorf("a workload binds %s: %v %v", addr, l, err)
		}
		if _, err := stranger.listen(addr); err != nil {
			t.Errorf("a pod that is not in the mesh binds %s: %v", addr, err)
		}
	}
	if _, err := client.listen("127.0.0.1:15002"); err != nil {
		t.Errorf("a workload binds another port: %v", err)
	}
	var err error
	client.do(func() {
		var c net.PacketConn
		if c, err = net.ListenPacket("udp", "127.0.0.1:15001"); err == nil {
			c.Close()
		}
	})
	if err != nil {
		t.Errorf("a workload binds the port for UDP: %v", err)
	}
	if line, err := client.start("bind", cfg.EnvoyCgroup, "127.0.0.1:15001").line(); line != "bound" {
		t.Errorf("Envoy binds its port: %s, %v", line, err)
	}
	below := filepath.Join(cfg.EnvoyCgroup, "below")
	if err := os.Mkdir(below, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { eventually(t, "the cgroup is empty", func() error { return os.Remove(below) }) })
	if line, err := client.start("bind", below, "127.0.0.1:15006").line(); line != "bound" {
		t.Errorf("a process below Envoy's cgroup binds its port: %s, %v", line, err)
	}
}

func TestEnvoyItselfIsLeftAlone(t *testing.T) {
	cfg := testConfig(t)
	client := newClient(t, "127.0.1.1:80", "127.0.1.2:80", "127.0.0.2:8080")
	b := newMesh().workload(client.workload("shop", "client")).backend("l4", 80, model.TCP, "127.0.0.2:8080")
	b.front("l4", 80, model.TCP, addrs("127.0.1.1"))
	b.l7("l7", 80, "127.0.1.2")
	d := openTest(t, cfg)
	mustSync(t, d, b.m)
	for _, addr := range []string{"127.0.1.1:80", "127.0.1.2:80"} {
		if line, err := client.start("dial", cfg.EnvoyCgroup, "tcp", addr).line(); line != addr {
			t.Errorf("Envoy dials %s: %s, %v", addr, line, err)
		}
	}
	if got := mustDump(t, d).Counters["envoyOwn"]; got != 2 {
		t.Errorf("%d of Envoy's own connects counted, want 2", got)
	}
	// A mark proves nothing: a pod can set any.
	for _, mark := range []int{0xe0000000, 1, 0x539} {
		if line, err := client.reachMarked("127.0.1.1:80", mark); err != nil || line != "127.0.0.2:8080" {
			t.Errorf("with mark %#x: %q, %v", mark, line, err)
		}
	}
}

func TestOthersAreLeftAlone(t *testing.T) {
	cfg := testConfig(t)
	servers := []string{"127.0.1.1:80", "127.0.1.2:80", "127.0.0.2:8080", "127.0.1.3:80", "127.0.1.1:81"}
	client, stranger := newClient(t, servers...), newClient(t, servers...)
	stranger.serveUDP("127.0.1.1:53")
	b := newMesh().workload(client.workload("shop", "client")).
		backend("l4", 80, model.TCP, "127.0.0.2:8080").
		backend("dns", 53, model.UDP, "127.0.0.9:53")
	b.front("l4", 80, model.TCP, addrs("127.0.1.1"))
	b.front("none", 80, model.TCP, addrs("127.0.1.3"))
	b.front("dns", 53, model.UDP, addrs("127.0.1.1"))
	b.l7("l7", 80, "127.0.1.2")
	d := openTest(t, cfg)
	mustSync(t, d, b.m)

	// A pod that is not in the mesh.
	for _, addr := range []string{"127.0.1.1:80", "127.0.1.2:80", "127.0.1.3:80"} {
		expect(t, stranger, addr, addr, addr)
	}
	if got, from, err := stranger.datagram("127.0.1.1:53"); got != "127.0.1.1:53" || from != "127.0.1.1:53" {
		t.Errorf("UDP of a pod that is not in the mesh: %q from %s, %v", got, from, err)
	}
	// A workload that dials endpoints directly, or other ports.
	expect(t, client, "127.0.0.2:8080", "127.0.0.2:8080", "127.0.0.2:8080")
	expect(t, client, "127.0.1.1:81", "127.0.1.1:81", "127.0.1.1:81")
	for name, n := range mustDump(t, d).Counters {
		if n != 0 {
			t.Errorf("%s was counted %d times", name, n)
		}
	}
	// It is one from the moment that the mesh says so, and no longer than that.
	if err := d.Apply(newMesh().workload(stranger.workload("shop", "stranger")).m.All()); err != nil {
		t.Fatal(err)
	}
	expect(t, stranger, "127.0.1.1:80", "127.0.0.2:8080", "127.0.1.1:80")
	gone := model.NewDelta()
	gone.Workloads[model.WorkloadKey{Namespace: "shop", Name: "stranger"}] = nil
	if err := d.Apply(gone); err != nil {
		t.Fatal(err)
	}
	expect(t, stranger, "127.0.1.1:80", "127.0.1.1:80", "127.0.1.1:80")
}

func TestRefusedAtOnce(t *testing.T) {
	cfg := testConfig(t)
	client := newPod(t)
	b := newMesh().workload(client.workload("shop", "client")).backend("none", 80, model.TCP)
	b.front("none", 80, model.TCP, addrs("10.96.0.1", "fd96::1"))
	b.front("dns", 53, model.UDP, addrs("10.96.0.1", "fd96::1"))
	refused := func(want error) {
		t.Helper()
		for _, c := range [][2]string{
			{"tcp", "10.96.0.1:80"}, {"tcp", "[fd96::1]:80"}, {"udp", "10.96.0.1:53"}, {"udp", "[fd96::1]:53"},
		} {
			if _, err := client.dial(c[0], c[1]); !errors.Is(err, want) {
				t.Errorf("%s %s: %v, want %v", c[0], c[1], err, want)
			}
		}
		for _, addr := range []string{"10.96.0.1:53", "[fd96::1]:53"} {
			if _, _, err := client.datagram(addr); !errors.Is(err, want) {
				t.Errorf("sendto %s: %v, want %v", addr, err, want)
			}
		}
	}
	d := openTest(t, cfg)
	mustSync(t, d, b.m)
	refused(unix.ECONNREFUSED)
	d.Close()

	// Before Linux 6.1 a program cannot say so.
	cfg.pretend = map[string]any{"has_set_retval": false, "has_mptcp": false}
	old := openTest(t, cfg)
	mustSync(t, old, b.m)
	refused(unix.EPERM)
}

func TestOddSockets(t *testing.T) {
	cfg := testConfig(t)
	client := newClient(t, "127.0.0.2:8080")
	b := newMesh().workload(client.workload("shop", "client")).backend("l4", 80, model.TCP, "127.0.0.2:8080")
	b.front("l4", 80, model.TCP, addrs("10.96.0.1"))
	b.l7("l7", 80, "10.96.0.2")
	d := openTest(t, cfg)
	mustSync(t, d, b.m)
	startEnvoy(t, client, cfg)
	for vip, want := range map[string]string{"10.96.0.1": "127.0.0.2:8080", "10.96.0.2": "envoy 10.96.0.2:80"} {
		t.Run("multipath TCP to "+vip, func(t *testing.T) {
			dialer := net.Dialer{}
			dialer.SetMultipathTCP(true)
			var c net.Conn
			var err error
			client.do(func() { c, err = dialer.DialContext(context.Background(), "tcp", vip+":80") })
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if line, err := firstLine(c); line != want {
				t.Errorf("led to %q, %v", line, err)
			}
			if peer := c.RemoteAddr().String(); peer != vip+":80" {
				t.Errorf("getpeername shows %s", peer)
			}
		})
		t.Run("fast open to "+vip, func(t *testing.T) {
			var line string
			var err error
			client.do(func() { line, err = fastOpen(vip) })
			if err != nil || line != want {
				t.Errorf("led to %q, %v", line, err)
			}
		})
		t.Run("again to "+vip, func(t *testing.T) {
			var line string
			var err error
			client.do(func() { line, err = reconnect("127.0.0.2", 8080, vip, 80) })
			if err != nil || line != want {
				t.Errorf("led to %q, %v", line, err)
			}
		})
	}
	t.Run("a socket that goes elsewhere forgets", func(t *testing.T) {
		var line string
		var err error
		client.do(func() { line, err = reconnect("10.96.0.1", 80, "127.0.0.2", 8080) })
		if err != nil || line != "127.0.0.2:8080" {
			t.Errorf("led to %q, %v", line, err)
		}
	})
}

func TestNamespaceOfTheClientChooses(t *testing.T) {
	cfg := testConfig(t)
	near, far := newClient(t, "127.0.0.2:80", "127.0.0.3:80"), newClient(t, "127.0.0.2:80", "127.0.0.3:80")
	b := newMesh().workload(near.workload("near", "client")).workload(far.workload("far", "client")).
		backend("cart", 80, model.TCP, "127.0.0.2:80").backend("canary", 80, model.TCP, "127.0.0.3:80")
	b.front("cart", 80, model.TCP, addrs("10.96.0.1"))
	scoped := newMesh().front("cart", 80, model.TCP, addrs("10.96.0.1"), share{"canary", 1, ""})
	scoped.Key.ClientNamespace = "near"
	b.m.Frontends[scoped.Key] = scoped
	d := openTest(t, cfg)
	mustSync(t, d, b.m)
	expect(t, near, "10.96.0.1:80", "127.0.0.3:80", "10.96.0.1:80")
	expect(t, far, "10.96.0.1:80", "127.0.0.2:80", "10.96.0.1:80")
}

func TestWeightsAndAffinityOfRealConnections(t *testing.T) {
	cfg := testConfig(t)
	client := newClient(t, "127.0.0.2:80", "127.0.0.3:80", "127.0.0.4:80")
	b := newMesh().workload(client.workload("shop", "client")).
		backend("v1", 80, model.TCP, "127.0.0.2:80").backend("v2", 80, model.TCP, "127.0.0.3:80").
		backend("all", 80, model.TCP, "127.0.0.2:80", "127.0.0.3:80", "127.0.0.4:80")
	b.front("cart", 80, model.TCP, addrs("10.96.0.1"),
		share{"v1", 8, ""}, share{"v2", 1, ""}, share{"v2", 1, "BackendNotFound"})
	f := b.front("sticky", 80, model.TCP, addrs("10.96.0.2"), share{"all", 1, ""})
	f.Affinity = time.Hour
	d := openTest(t, cfg)
	mustSync(t, d, b.m)
	const n = 2000
	got := map[string]int{}
	for range n {
		line, err := client.reach("tcp", "10.96.0.1:80")
		if errors.Is(err, unix.ECONNREFUSED) {
			line = "refused"
		} else if err != nil {
			t.Fatal(err)
		}
		got[line]++
	}
	within(t, "80%", got["127.0.0.2:80"], n, 0.8)
	within(t, "10%", got["127.0.0.3:80"], n, 0.1)
	within(t, "10% refused", got["refused"], n, 0.1)

	first, err := client.reach("tcp", "10.96.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if line, err := client.reach("tcp", "10.96.0.2:80"); err != nil || line != first {
			t.Fatalf("a client of %s was sent to %q, %v", first, line, err)
		}
	}
}

func TestWorkloadsOfTheNodesNetns(t *testing.T) {
	cfg := testConfig(t)
	node := &pod{t: t, calls: make(chan func())} // the node's own network namespace
	go func() {
		for f := range node.calls {
			f()
		}
	}()
	t.Cleanup(func() { close(node.calls) })
	var err error
	if node.cookie, err = threadCookie(); err != nil {
		t.Fatal(err)
	}
	servers := []string{"127.91.0.2:8091", "127.91.1.1:8091"}
	for _, addr := range servers {
		node.serve(addr)
	}
	cgroup := filepath.Join(cfg.CgroupRoot, "wl-"+filepath.Base(cfg.EnvoyCgroup))
	inner := filepath.Join(cgroup, "a", "b")
	for _, dir := range []string{cgroup, filepath.Dir(inner), inner} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { eventually(t, "the cgroup is empty", func() error { return os.Remove(dir) }) })
	}
	id, err := cgroupID(cgroup)
	if err != nil {
		t.Fatal(err)
	}
	w := node.workload("shop", "host")
	w.Place.CgroupID = id
	b := newMesh().workload(w).backend("l4", 8091, model.TCP, servers[0])
	b.front("l4", 8091, model.TCP, addrs("127.91.1.1"))
	d := openTest(t, cfg)
	mustSync(t, d, b.m)
	for _, dir := range []string{cgroup, inner} {
		if line, err := node.start("dial", dir, "tcp", servers[1]).line(); line != servers[0] {
			t.Errorf("a process of the workload's cgroup: %q, %v", line, err)
		}
	}
	if line, err := node.start("dial", filepath.Join(cfg.CgroupRoot, "clients"), "tcp", servers[1]).line(); line != servers[1] {
		t.Errorf("another process of the node: %q, %v", line, err)
	}
}
