package netns

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sluice.io/sluice/model"
)

// runHolder is the program that a test binary is when it was started to have port
// 15001 of addresses: "listen" or "bind", and the addresses.
func runHolder(told string) error {
	how, addrs, _ := strings.Cut(told, " ")
	for at := range strings.FieldsSeq(addrs) {
		a := netip.MustParseAddr(at)
		domain, sa := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: 15001, Addr: a.As16()})
		if a.Is4() {
			domain, sa = unix.AF_INET, &unix.SockaddrInet4{Port: 15001, Addr: a.As4()}
		}
		fd, err := unix.Socket(domain, unix.SOCK_STREAM, 0)
		if err == nil {
			err = unix.Bind(fd, sa)
		}
		if err == nil && how == "listen" {
			err = unix.Listen(fd, 1)
		}
		if err != nil {
			return fmt.Errorf("%s at %s: %w", how, at, err)
		}
	}
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// hold has a program listen at, or bind, port 15001 until release is called.
func hold(t *testing.T, netns, cgroup, how string, addrs ...string) (release func()) {
	t.Helper()
	cmd := exec.Command("ip", "netns", "exec", netns, os.Args[0])
	cmd.Env = append(os.Environ(), "SLT_HOLD="+how+" "+strings.Join(addrs, " "))
	if cgroup != "" {
		dir, err := os.Open(cgroup)
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	release = runUntil(t, cmd)
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the program that is to have the port: %q, %v", line, err)
	}
	return release
}

// envoyCgroup is a cgroup of somebody who may have the port.
func envoyCgroup(t *testing.T) string {
	t.Helper()
	root, err := cgroupRoot()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, unique())
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(dir) })
	return dir
}

// TestPortTaken: a workload on whose loopback another program has the port is not
// told to be ready, however the program has it; but a socket that keeps nobody
// from the loopback is no obstacle, and one of who is to listen there is none.
func TestPortTaken(t *testing.T) {
	needRoot(t)
	envoy := envoyCgroup(t)
	for _, c := range []struct {
		name, cgroup, how string
		addrs             []string
		taken             string
	}{
		{name: "nobody"},
		{name: "IPv4", how: "listen", addrs: []string{"127.0.0.1"}, taken: "listens there, at 127.0.0.1"},
		{name: "IPv6", how: "listen", addrs: []string{"::1"}, taken: "listens there, at ::1"},
		{name: "any", how: "listen", addrs: []string{"0.0.0.0"}, taken: "listens there, at 0.0.0.0"},
		{name: "any of both", how: "listen", addrs: []string{"::"}, taken: "listens there, at ::"},
		{name: "bound only", how: "bind", addrs: []string{"127.0.0.1"}, taken: "a program has bound it"},
		{name: "elsewhere", how: "listen", addrs: []string{"10.9.9.9"}},
		{name: "Envoy", cgroup: envoy, how: "listen", addrs: []string{"127.0.0.1", "::1"}},
		{name: "Envoy and others", cgroup: envoy, how: "listen", addrs: []string{"127.0.0.1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, dir := newRegistry(t)
			r := New(Config{Dir: dir, Port: 15001, Listener: envoy})
			name := unique()
			w := workload("cart", netnsAdd(t, name))
			ip(t, "-n", name, "link", "set", "lo", "up")
			ip(t, "-n", name, "addr", "add", "10.9.9.9/32", "dev", "lo")
			release := func() {}
			if c.how != "" {
				release = hold(t, name, c.cgroup, c.how, c.addrs...)
			}
			if c.name == "Envoy and others" {
				c.taken = "listens there, at ::1"
				release = hold(t, name, "", "listen", "::1")
			}
			placed := r.Update(declare(w))[w.Key]
			err := r.Problems()[w.Key]
			if placed == nil || placed.Place.Unready != (c.taken != "") || errors.Is(err, ErrPortTaken) != (c.taken != "") {
				t.Fatalf("placed %+v, problem %v", placed, err)
			}
			if c.taken == "" {
				return
			}
			if !strings.Contains(fmt.Sprint(err), c.taken) {
				t.Errorf("the problem is %v, want %s in it", err, c.taken)
			}
			release()
			if !r.stale() {
				t.Error("the port is free, of which the registry would not notify")
			}
			if again := r.Refresh()[w.Key]; again == nil || again.Place.Unready || len(r.Problems()) > 0 {
				t.Errorf("when the port is free: %+v, %v", again, r.Problems())
			}
		})
	}
}

// TestPortTakenLater: who takes the port after one has looked, but before the
// kernel keeps it, is noticed, too; when the right one listens, one looks seldom.
func TestPortTakenLater(t *testing.T) {
	needRoot(t)
	envoy := envoyCgroup(t)
	_, dir := newRegistry(t)
	r := New(Config{Dir: dir, Port: 15001, Listener: envoy})
	name := unique()
	w := workload("cart", netnsAdd(t, name))
	ip(t, "-n", name, "link", "set", "lo", "up")
	if placed := r.Update(declare(w))[w.Key]; placed == nil || placed.Place.Unready {
		t.Fatalf("placed %+v, %v", placed, r.Problems())
	}
	release := hold(t, name, "", "listen", "127.0.0.1")
	if again := r.Refresh()[w.Key]; again == nil || !again.Place.Unready || !errors.Is(r.Problems()[w.Key], ErrPortTaken) {
		t.Errorf("when somebody took the port: %+v, %v", again, r.Problems())
	}
	release()
	if again := r.Refresh()[w.Key]; again == nil || again.Place.Unready {
		t.Errorf("when it is free: %+v, %v", again, r.Problems())
	}
	end := hold(t, name, envoy, "listen", "127.0.0.1", "::1")
	if r.stale() || len(r.Refresh()) > 0 {
		t.Error("told of a workload that is served as it should be")
	}
	if !r.placed[w.Key].settled() {
		t.Error("a workload that is served is looked at all the time")
	}

	// Its listener ends, and somebody is quicker than the next one.
	end()
	hold(t, name, "", "listen", "127.0.0.1")
	p := r.placed[w.Key]
	p.looked = p.looked.Add(-recheckServed)
	if !r.stale() {
		t.Error("nobody notices who came after the listener")
	}
	if again := r.Refresh()[w.Key]; again == nil || !again.Place.Unready || !errors.Is(r.Problems()[w.Key], ErrPortTaken) {
		t.Errorf("when somebody came after the listener: %+v, %v", again, r.Problems())
	}
}

// TestOneFamily: where IPv6 is switched off, IPv4 has to do, and the other way
// round; and when both are there again, one is told.
func TestOneFamily(t *testing.T) {
	needRoot(t)
	for name, c := range map[string]struct {
		off, on []string
		want    model.Place
	}{
		"no IPv6": {[]string{"sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.lo.disable_ipv6=1"}, []string{"sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=0", "net.ipv6.conf.lo.disable_ipv6=0"}, model.Place{NoIPv6: true}},
		"no IPv4": {[]string{"ip", "addr", "del", "127.0.0.1/8", "dev", "lo"}, []string{"ip", "addr", "add", "127.0.0.1/8", "dev", "lo"}, model.Place{NoIPv4: true}},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := newRegistry(t)
			ns := unique()
			w := workload("cart", netnsAdd(t, ns))
			ip(t, "-n", ns, "link", "set", "lo", "up")
			ip(t, append([]string{"netns", "exec", ns}, c.off...)...)
			placed := r.Update(declare(w))[w.Key]
			if placed == nil || placed.Place.Unready || placed.Place.NoIPv4 != c.want.NoIPv4 || placed.Place.NoIPv6 != c.want.NoIPv6 || len(r.Problems()) > 0 {
				t.Fatalf("placed %+v, %v", placed, r.Problems())
			}
			ip(t, append([]string{"netns", "exec", ns}, c.on...)...)
			p := r.placed[w.Key]
			if r.stale() {
				t.Error("a loopback that lacks a family is looked at all the time")
			}
			p.looked = p.looked.Add(-recheckServed)
			if !r.stale() {
				t.Error("both families are there, of which the registry would not notify")
			}
			if again := r.Refresh()[w.Key]; again == nil || again.Place.NoIPv4 || again.Place.NoIPv6 {
				t.Errorf("with both families: %+v", again)
			}
		})
	}
}

// TestDiagIsCut: an answer of the kernel that is not one is an error, not a crash.
func TestDiagIsCut(t *testing.T) {
	whole := append(append([]byte{144, 0, 0, 0, sockDiagByFamily, 0, 0, 0}, make([]byte, 8+72)...), make([]byte, 56)...)
	for n := range len(whole) {
		var found []listener
		more, err := parseDiag(whole[:n], 0, &found)
		if len(found) > 0 || n >= 16 && !errors.Is(err, errCut) || n < 16 && !more {
			t.Errorf("%d bytes: %v, %v, %v", n, found, more, err)
		}
	}
}
