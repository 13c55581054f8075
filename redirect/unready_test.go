package redirect

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"sluice.io/sluice/model"
	"sluice.io/sluice/netns"
)

// TestUnready: where Envoy cannot listen, what needs it is refused: it never
// reaches the program that has Envoy's port. What the kernel balances goes on.
func TestUnready(t *testing.T) {
	cfg := testConfig(t)
	client := newClient(t, "127.0.0.2:8080", "127.0.0.1:15001", "[::1]:15001") // before it is kept for Envoy
	w := client.workload("shop", "client")
	w.Place.Unready = true
	b := newMesh().workload(w).backend("l4", 80, model.TCP, "127.0.0.2:8080")
	b.front("l4", 80, model.TCP, addrs("10.96.0.1"))
	b.l7("web", 80, "10.96.0.2", "fd96::2")
	d := openTest(t, cfg)
	mustSync(t, d, b.m)
	for _, addr := range []string{"10.96.0.2:80", "[fd96::2]:80"} {
		if _, err := client.dial("tcp", addr); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("%s: %v, want it refused", addr, err)
		}
	}
	expect(t, client, "10.96.0.1:80", "127.0.0.2:8080", "10.96.0.1:80")

	// Without the kernel's word the program there would have had it: this is what
	// the test is about.
	ready := client.workload("shop", "client")
	delta := model.NewDelta()
	delta.Workloads[w.Key] = ready
	if err := d.Apply(delta); err != nil {
		t.Fatal(err)
	}
	if line, err := client.reach("tcp", "10.96.0.2:80"); line != "127.0.0.1:15001" {
		t.Errorf("a ready workload: %q, %v", line, err)
	}
	delta = model.NewDelta()
	delta.Workloads[w.Key] = w
	if err := d.Apply(delta); err != nil {
		t.Fatal(err)
	}
	if _, err := client.dial("tcp", "10.96.0.2:80"); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("unready again: %v, want it refused", err)
	}
}

// TestBoundBeforeItIsKept: a program that has bound Envoy's port, and does not
// listen, is seen also when the port is kept: one cannot find out by binding it
// any more. (Linux 6.8 and later tell.)
func TestBoundBeforeItIsKept(t *testing.T) {
	cfg := testConfig(t)
	for i, addr := range []unix.Sockaddr{
		&unix.SockaddrInet4{Port: EnvoyPort, Addr: [4]byte{127, 0, 0, 1}},
		&unix.SockaddrInet6{Port: EnvoyPort, Addr: [16]byte{15: 1}},
	} {
		p := newPod(t)
		for p.thread() == os.Getpid() { // by whose network namespace that of the node is known
			p = newPod(t)
		}
		fd, path := -1, fmt.Sprintf("/proc/self/task/%d/ns/net", p.thread())
		p.do(func() {
			var err error
			if fd, err = unix.Socket([]int{unix.AF_INET, unix.AF_INET6}[i], unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err == nil {
				err = unix.Bind(fd, addr)
			}
			if err != nil {
				t.Error(err)
			}
		})
		w := p.workload("shop", fmt.Sprint("bound", i))
		declared := *w
		declared.Netns, declared.Place = path, nil

		d := openTest(t, cfg)
		mustSync(t, d, newMesh().workload(w).m) // the port is kept from now on
		dir := filepath.Join(t.TempDir(), "netns")
		t.Cleanup(func() {
			if err := netns.Uninstall(dir); err != nil {
				t.Error(err)
			}
		})
		r := netns.New(netns.Config{Dir: dir, Port: EnvoyPort, Listener: cfg.EnvoyCgroup})
		r.Update(map[model.WorkloadKey]*model.Workload{w.Key: &declared})
		if err := r.Problems()[w.Key]; !errors.Is(err, netns.ErrPortTaken) {
			t.Errorf("%T: problem %v, want the port to be taken", addr, err)
		}
		unix.Close(fd)
		if placed := r.Refresh()[w.Key]; placed == nil || placed.Place.Unready {
			t.Errorf("%T: when it is free: %+v, %v", addr, placed, r.Problems())
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}
