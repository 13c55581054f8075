package redirect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"sluice.io/sluice/model"
)

// load dials without end, in several goroutines, and keeps what goes wrong.
type load struct {
	stop  atomic.Bool
	wg    sync.WaitGroup
	done  atomic.Int64
	mu    sync.Mutex
	wrong []string
}

// newLoad runs one goroutine for each address; reach returns what is wrong.
func newLoad(addrs []string, reach func(addr string) error) *load {
	l := &load{}
	for _, addr := range addrs {
		l.wg.Go(func() {
			for !l.stop.Load() {
				if err := reach(addr); err != nil {
					l.mu.Lock()
					l.wrong = append(l.wrong, fmt.Sprintf("%s: %v", addr, err))
					l.mu.Unlock()
				}
				l.done.Add(1)
			}
		})
	}
	return l
}

// more waits until n more connections were made.
func (l *load) more(t *testing.T, n int64) {
	t.Helper()
	from := l.done.Load()
	eventually(t, "connections go on", func() error {
		if made := l.done.Load() - from; made < n {
			return fmt.Errorf("%d of %d", made, n)
		}
		return nil
	})
}

func (l *load) end(t *testing.T) {
	t.Helper()
	l.stop.Store(true)
	l.wg.Wait()
	if len(l.wrong) > 0 {
		t.Errorf("%d of %d connections went wrong, such as %s", len(l.wrong), l.done.Load(), l.wrong[0])
	}
}

// restartMesh is a client of a service in the kernel and one at Envoy, with servers
// for four endpoints.
func restartMesh(t *testing.T) (*pod, meshBuilder, []string) {
	t.Helper()
	ends := []string{"127.0.0.2:80", "127.0.0.3:80", "127.0.0.4:80", "127.0.0.5:80"}
	client := newClient(t, ends...)
	b := newMesh().workload(client.workload("shop", "client")).backend("l4", 80, model.TCP, ends...)
	b.front("l4", 80, model.TCP, addrs("10.96.0.1"))
	b.l7("l7", 80, "10.96.0.2")
	return client, b, ends
}

func reachOneOf(client *pod, ends []string) func(addr string) error {
	return func(addr string) error {
		line, err := client.reach("tcp", addr)
		if err != nil {
			return err
		}
		if line != "envoy "+addr && !slices.Contains(ends, line) {
			return fmt.Errorf("led to %q", line)
		}
		return nil
	}
}

var bothVIPs = []string{"10.96.0.1:80", "10.96.0.2:80"}

// TestKilledAndOpenedAgainUnderLoad kills the process that writes the maps, in
// the middle of its writing, and opens them again: no connection fails, old or
// new, and the links stay the same ones.
func TestKilledAndOpenedAgainUnderLoad(t *testing.T) {
	cfg := testConfig(t)
	client, b, ends := restartMesh(t)
	order := sluiceOrder{Config: cfg}
	order.Config.Log = nil
	order.Mesh.Endpoints = []*model.Endpoints{b.m.Endpoints[backendKey("l4", 80, model.TCP)]}
	for _, f := range b.m.Frontends {
		order.Mesh.Frontends = append(order.Mesh.Frontends, f)
	}
	for _, w := range b.m.Workloads {
		order.Mesh.Workloads = append(order.Mesh.Workloads, w)
	}
	orders, err := json.Marshal(order)
	if err != nil {
		t.Fatal(err)
	}
	node := &pod{t: t, calls: make(chan func())}
	go func() {
		for f := range node.calls {
			f()
		}
	}()
	t.Cleanup(func() { close(node.calls) })
	run := func() *process {
		p := node.startWith(bytes.NewReader(orders), "sluice", filepath.Join(cfg.CgroupRoot, "clients"))
		if line, err := p.line(); line != "ready" {
			t.Fatal(line, err)
		}
		return p
	}

	first := run()
	startEnvoy(t, client, cfg)
	old := map[string]net.Conn{}
	for _, addr := range bothVIPs {
		if old[addr], err = client.dial("tcp", addr); err != nil {
			t.Fatal(err)
		}
		defer old[addr].Close()
		if _, err := firstLine(old[addr]); err != nil {
			t.Fatal(err)
		}
	}
	links := linkIDs(t, cfg)
	l := newLoad(bothVIPs, reachOneOf(client, ends))
	process := first
	for range 5 {
		l.more(t, 200)
		process.kill()
		l.more(t, 200)
		process = run()
	}
	l.more(t, 200)
	process.kill()
	d := openTest(t, cfg)
	mustSync(t, d, b.m)
	l.more(t, 200)
	l.end(t)

	if now := linkIDs(t, cfg); !slices.Equal(now, links) {
		t.Errorf("links were %v, and are %v", links, now)
	}
	for addr, c := range old {
		if _, err := fmt.Fprintln(c, "still here"); err != nil {
			t.Error(err)
		}
		if line, err := firstLine(c); line != "still here" {
			t.Errorf("the old connection to %s: %q, %v", addr, line, err)
		}
	}
	sameAsFresh(t, 0, loadTables(t, d), b.m)
	again := openTest(t, cfg) // the pinned maps are what the handle's are
	sameAsFresh(t, 0, again.planner.have, b.m)
}

// loadTables reads the maps, not what we believe of them.
func loadTables(t *testing.T, d *Datapath) *tables {
	t.Helper()
	have := newTables()
	for _, table := range have.all() {
		if err := table.load(d.maps[table.mapName()]); err != nil {
			t.Fatal(err)
		}
	}
	return have
}

func linkIDs(t *testing.T, cfg Config) []link.ID {
	t.Helper()
	var ids []link.ID
	entries, err := os.ReadDir(filepath.Join(cfg.BPFFS, linksDir))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		l, err := link.LoadPinnedLink(filepath.Join(cfg.BPFFS, linksDir, e.Name()), nil)
		if err != nil {
			t.Fatal(err)
		}
		info, err := l.Info()
		l.Close()
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, info.ID)
	}
	return ids
}

// TestChangesUnderLoad changes endpoints, weights and frontends without end
// while connections are made: each finds an endpoint that is or was right.
func TestChangesUnderLoad(t *testing.T) {
	cfg := testConfig(t)
	client, b, ends := restartMesh(t)
	b.backend("other", 80, model.TCP, ends[:2]...)
	d := openTest(t, cfg)
	mustSync(t, d, b.m)
	startEnvoy(t, client, cfg)
	l := newLoad([]string{"10.96.0.1:80", "10.96.0.1:80", "10.96.0.2:80"}, reachOneOf(client, ends))
	from := l.done.Load()
	for i := 0; l.done.Load()-from < 3000; i++ {
		delta := model.NewDelta()
		change := meshBuilder{(*model.Mesh)(delta)}
		change.backend("l4", 80, model.TCP, ends[i%4:i%4+1+i%(4-i%4)]...)
		switch i % 5 {
		case 0:
			change.front("l4", 80, model.TCP, addrs("10.96.0.1"), share{"l4", 1, ""}, share{"other", 2, ""})
		case 1:
			change.front("l4", 80, model.TCP, addrs("10.96.0.1"), share{"other", 1, ""})
		case 2:
			change.front("l4", 80, model.TCP, addrs("10.96.0.1", "10.96.0.2"))
			delta.Frontends[model.FrontendKey{Namespace: "shop", Name: "l7", Port: 80, Protocol: model.TCP}] = nil
		case 3:
			change.front("l4", 80, model.TCP, addrs("10.96.0.1"))
			change.l7("l7", 80, "10.96.0.2")
		}
		if err := d.Apply(delta); err != nil {
			t.Fatal(err)
		}
	}
	l.end(t)
}

// TestAnotherLayoutIsFilledBeforeItIsSwitchedTo opens the data path with other
// sizes: new maps, under load, and connections keep what they know.
func TestAnotherLayoutIsFilledBeforeItIsSwitchedTo(t *testing.T) {
	cfg := testConfig(t)
	client, b, ends := restartMesh(t)
	d := openTest(t, cfg)
	mustSync(t, d, b.m)
	startEnvoy(t, client, cfg)
	old, err := client.dial("tcp", "10.96.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	links := linkIDs(t, cfg)
	l := newLoad(bothVIPs, reachOneOf(client, ends))
	l.more(t, 200)
	for i := range uint32(3) {
		d.Close()
		cfg.Sizes["sl_frontends"] = 1000 + i
		d = openTest(t, cfg)
		l.more(t, 100)
		mustSync(t, d, b.m)
		l.more(t, 200)
	}
	l.end(t)
	if now := linkIDs(t, cfg); !slices.Equal(now, links) {
		t.Errorf("links were %v, and are %v", links, now)
	}
	if dirs, err := filepath.Glob(filepath.Join(cfg.BPFFS, mapsPrefix+"*")); err != nil || len(dirs) != 1 {
		t.Errorf("folders of maps: %v, %v", dirs, err)
	}
	var peer string
	raw, err := old.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { peer = peerOf(int(fd)) }); err != nil || peer != "10.96.0.1:80" {
		t.Errorf("getpeername of an old connection: %s, %v", peer, err)
	}
}

func peerOf(fd int) string {
	sa, err := unix.Getpeername(fd)
	if err != nil {
		return err.Error()
	}
	peer, ok := sa.(*unix.SockaddrInet4)
	if !ok {
		return "not IPv4"
	}
	return fmt.Sprintf("%s:%d", net.IP(peer.Addr[:]), peer.Port)
}

func TestSyncRemovesWhatIsStale(t *testing.T) {
	cfg := testConfig(t)
	client, b, ends := restartMesh(t)
	d := openTest(t, cfg)
	mustSync(t, d, b.m)
	if _, err := client.reach("tcp", "10.96.0.1:80"); err != nil {
		t.Fatal(err)
	}
	d.Close()
	// Another mesh, with a part of the old one in it.
	next := newMesh().workload(newPod(t).workload("shop", "other")).backend("l4", 80, model.TCP, ends[1:]...)
	next.front("l4", 80, model.TCP, addrs("10.96.0.3"))
	again := openTest(t, cfg)
	id := again.planner.frontendIDs.get(model.FrontendKey{Namespace: "shop", Name: "l4", Port: 80, Protocol: model.TCP})
	mustSync(t, again, next.m)
	sameAsFresh(t, 0, loadTables(t, again), next.m)
	if now, _ := again.planner.frontendIDs.known(model.FrontendKey{Namespace: "shop", Name: "l4", Port: 80, Protocol: model.TCP}); now != id {
		t.Errorf("the frontend's number was %d and is %d", id, now)
	}
	mustSync(t, again, model.NewMesh())
	sameAsFresh(t, 0, loadTables(t, again), model.NewMesh())
	if err := empty(again, "sl_tallies"); err != nil {
		t.Error(err)
	}
}

func TestUninstallLeavesNothing(t *testing.T) {
	cfg := testConfig(t)
	client, b, _ := restartMesh(t)
	d := openTest(t, cfg)
	mustSync(t, d, b.m)
	var maps []ebpf.MapID
	for _, m := range d.maps {
		info, err := m.Info()
		if err != nil {
			t.Fatal(err)
		}
		id, _ := info.ID()
		maps = append(maps, id)
	}
	links := linkIDs(t, cfg)
	if len(links) != 14 {
		t.Errorf("%d links are pinned, want 14", len(links))
	}
	d.Close()
	for range 2 { // the second time there is nothing to do
		if err := Uninstall(cfg); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(cfg.BPFFS); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the pin folder: %v", err)
	}
	eventually(t, "links and maps are gone", func() error {
		for _, id := range links {
			if l, err := link.NewFromID(id); err == nil {
				l.Close()
				return fmt.Errorf("link %d is there", id)
			}
		}
		for _, id := range maps {
			if m, err := ebpf.NewMapFromID(id); err == nil {
				m.Close()
				return fmt.Errorf("map %d is there", id)
			}
		}
		return nil
	})
	for _, attach := range []ebpf.AttachType{ebpf.AttachCGroupInet4Connect, ebpf.AttachCGroupInet6Connect, ebpf.AttachCGroupSockOps, ebpf.AttachCGroupInet4Bind} {
		result, err := link.QueryPrograms(link.QueryOptions{Target: cgroupFD(t, cfg.CgroupRoot), Attach: attach})
		if err != nil || len(result.Programs) != 0 {
			t.Errorf("%s: %v, %v", attach, result, err)
		}
	}
	if _, err := client.dial("tcp", "10.96.0.1:80"); err == nil {
		t.Error("the VIP still leads somewhere")
	}
}

func cgroupFD(t *testing.T, dir string) int {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return int(f.Fd())
}

// TestEnvoysCgroupMadeAnew: the old cgroup's link is of no use, and Envoy is
// known by the new cgroup.
func TestEnvoysCgroupMadeAnew(t *testing.T) {
	cfg := testConfig(t)
	client, b, _ := restartMesh(t)
	d := openTest(t, cfg)
	mustSync(t, d, b.m)
	envoy := startEnvoy(t, client, cfg)
	expect(t, client, "10.96.0.2:80", "envoy 10.96.0.2:80", "10.96.0.2:80")
	d.Close()
	envoy.kill()
	eventually(t, "the cgroup is empty", func() error { return os.Remove(cfg.EnvoyCgroup) })
	if err := os.Mkdir(cfg.EnvoyCgroup, 0o755); err != nil {
		t.Fatal(err)
	}
	d = openTest(t, cfg)
	mustSync(t, d, b.m)
	startEnvoy(t, client, cfg)
	expect(t, client, "10.96.0.2:80", "envoy 10.96.0.2:80", "10.96.0.2:80")
	if err := d.Sync(b.m); err != nil {
		t.Errorf("a second Sync: %v", err)
	}
}

func TestOpenTellsWhatIsWrong(t *testing.T) {
	good := testConfig(t)
	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.BPFFS = t.TempDir() }, "is not on a bpf filesystem"},
		{func(c *Config) { c.EnvoyCgroup = t.TempDir() }, "not a directory of the cgroup2 hierarchy"},
		{func(c *Config) { c.EnvoyCgroup += "-not-there" }, "no such file or directory"},
		{func(c *Config) { c.Sizes = map[string]uint32{"sl_sessions": 7} }, "no such map of variable size"},
	} {
		cfg := good
		c.change(&cfg)
		d, err := Open(cfg)
		if err == nil {
			d.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
	if err := Uninstall(Config{BPFFS: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "nothing of it is removed") {
		t.Errorf("uninstall from a folder that is not ours: %v", err)
	}
	bad := good
	bad.CgroupRoot = t.TempDir()
	d := openTest(t, bad)
	if err := d.Sync(model.NewMesh()); err == nil || !strings.Contains(err.Error(), "attach getsockopt") && !strings.Contains(err.Error(), "attach sockops") {
		t.Errorf("attaching to a folder that is no cgroup: %v", err)
	}
}

func TestCheckThisMachine(t *testing.T) {
	if testing.Short() {
		t.Skip("needs root and a kernel")
	}
	for _, f := range Check(Config{BPFFS: "/sys/fs/bpf/sluice"}) {
		if f.Required && !f.OK {
			t.Errorf("%s: %s; %s", f.Name, f.Detail, f.Fix)
		}
	}
	for _, c := range []struct {
		release string
		older   bool
	}{{"5.14.0-x", true}, {"5.15.0", false}, {"4.19.2", true}, {"6.1.0-18-amd64", false}, {"odd", false}, {"10.0", false}} {
		if got := olderThan(c.release, MinKernel); got != c.older {
			t.Errorf("%s older than %s: %v", c.release, MinKernel, got)
		}
	}
}
