package redirect

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sluice.io/sluice/model"
)

// These tests try what docs/threat-model.md tells of: each as root in the
// network namespace of a workload, which is more than most pods have.

// attackMesh is a workload with a service in the kernel (10.96.0.1, served at
// 127.0.0.2:8080) and one at Envoy (10.96.0.2).
func attackMesh(t *testing.T, cfg Config, client *pod) *Datapath {
	t.Helper()
	b := newMesh().workload(client.workload("shop", "client")).backend("l4", 80, model.TCP, "127.0.0.2:8080")
	b.front("l4", 80, model.TCP, addrs("10.96.0.1"))
	b.l7("l7", 80, "10.96.0.2")
	d := openTest(t, cfg)
	mustSync(t, d, b.m)
	return d
}

func (p *pod) sysctl(path, value string) {
	p.t.Helper()
	p.do(func() {
		if err := os.WriteFile(filepath.Join("/proc/sys", path), []byte(value), 0); err != nil {
			p.t.Error(err)
		}
	})
}

// TestFailedConnectionLeavesNoDestination: a redirected connection fails, and
// the next one from the same port dials Envoy's port itself.
func TestFailedConnectionLeavesNoDestination(t *testing.T) {
	cfg := testConfig(t)
	client := newPod(t)
	d := attackMesh(t, cfg, client)
	connect := func(fd int) error { return unix.Connect(fd, inet4("10.96.0.2", 80)) }
	for i, c := range []struct {
		name string
		try  func(fd int) error
	}{
		{"refused", func(fd int) error {
			if err := connect(fd); !errors.Is(err, unix.ECONNREFUSED) {
				return fmt.Errorf("without Envoy: %w", err)
			}
			return nil
		}},
		{"closed before it was there", func(fd int) error {
			if err := errors.Join(unix.SetNonblock(fd, true), connect(fd)); !errors.Is(err, unix.EINPROGRESS) {
				return fmt.Errorf("not under way: %w", err)
			}
			return nil
		}},
		{"dissolved before it was there", func(fd int) error {
			if err := errors.Join(unix.SetNonblock(fd, true), connect(fd)); !errors.Is(err, unix.EINPROGRESS) {
				return fmt.Errorf("not under way: %w", err)
			}
			return disconnect(fd)
		}},
		{"without a packet", func(fd int) error { // TCP_REPAIR: connected by decree
			return errors.Join(unix.SetsockoptInt(fd, unix.SOL_TCP, unix.TCP_REPAIR, 1), connect(fd))
		}},
	} {
		if i == 1 {
			startEnvoy(t, client, cfg)
		}
		port := 20000 + i
		if i > 0 {
			client.nft(dropSYNs)
		}
		client.do(func() {
			if err := withPort(port, c.try); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		})
		if i == 0 {
			continue // nobody listens yet
		}
		client.nft("delete table ip slt")
		dialItself(t, client, c.name, port)
	}
	dialItself(t, client, "refused", 20000)
	if err := empty(d, "sl_handoffs"); err != nil {
		t.Error(err)
	}
}

// fromPort lends a socket that is bound to a port.
func withPort(port int, use func(fd int) error) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	reuse := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err := errors.Join(reuse, unix.Bind(fd, inet4("127.0.0.1", port))); err != nil {
		return err
	}
	return use(fd)
}

// dialItself dials Envoy's port from a port, and wants no destination.
func dialItself(t *testing.T, p *pod, when string, port int) {
	t.Helper()
	var line string
	var err error
	p.do(func() {
		err = withPort(port, func(fd int) error {
			if err := unix.Connect(fd, inet4("127.0.0.1", 15001)); err != nil {
				return err
			}
			var err error
			line, err = readLine(fd)
			return err
		})
	})
	if err != nil || !noDestination(line) {
		t.Errorf("%s: from the same port again: %q, %v", when, line, err)
	}
}

// TestRunningEnvoyKeepsItsPort: bind() is refused by a hook, but the kernel may
// also choose a port by itself, and root in a network namespace narrows what it
// chooses from.
func TestRunningEnvoyKeepsItsPort(t *testing.T) {
	cfg := testConfig(t)
	client := newPod(t)
	attackMesh(t, cfg, client)
	startEnvoy(t, client, cfg)
	client.sysctl("net/ipv4/ip_local_port_range", "15001 15001")
	for name, try := range map[string]func(fd int) error{
		"bind to any port":       func(fd int) error { return unix.Bind(fd, inet4("127.0.0.1", 0)) },
		"listen without bind":    func(fd int) error { return unix.Listen(fd, 1) },
		"connect from that port": func(fd int) error { return unix.Connect(fd, inet4("127.0.0.1", 20000)) },
		"bind late, any port": func(fd int) error {
			late := unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
			return errors.Join(late, unix.Bind(fd, inet4("127.0.0.1", 0)), unix.Listen(fd, 1))
		},
	} {
		client.do(func() {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Error(err)
				return
			}
			defer unix.Close(fd)
			share := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
			if err := errors.Join(share, try(fd)); !errors.Is(err, unix.EADDRINUSE) && !errors.Is(err, unix.EADDRNOTAVAIL) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	client.sysctl("net/ipv4/ip_local_port_range", "32768 60999")
	expect(t, client, "10.96.0.2:80", "envoy 10.96.0.2:80", "10.96.0.2:80")
}

// TestNoMemoryIsNoWayRound: root in a network namespace may forbid its sockets
// to remember what they dialled.
func TestNoMemoryIsNoWayRound(t *testing.T) {
	cfg := testConfig(t)
	client := newClient(t, "127.0.0.2:8080")
	attackMesh(t, cfg, client)
	startEnvoy(t, client, cfg)
	expect(t, client, "10.96.0.2:80", "envoy 10.96.0.2:80", "10.96.0.2:80")
	client.sysctl("net/core/optmem_max", "0")
	if line, err := client.reach("tcp", "10.96.0.2:80"); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("a service at Envoy: %q, %v", line, err)
	}
	// Open: balanced, but getpeername has nothing to show.
	expect(t, client, "10.96.0.1:80", "127.0.0.2:8080", "127.0.0.2:8080")
}

// TestSocketsOfOtherPods: a socket that was handed over stays its maker's.
func TestSocketsOfOtherPods(t *testing.T) {
	cfg := testConfig(t)
	servers := []string{"127.0.1.1:80", "127.0.0.2:8080"}
	client, stranger := newClient(t, servers...), newClient(t, servers...)
	b := newMesh().workload(client.workload("shop", "client")).backend("l4", 80, model.TCP, "127.0.0.2:8080")
	b.front("l4", 80, model.TCP, addrs("127.0.1.1"))
	mustSync(t, openTest(t, cfg), b.m)
	for _, c := range []struct {
		name        string
		maker, user *pod
		want        string
	}{
		{"a workload's socket, used outside of the mesh", client, stranger, "127.0.0.2:8080"},
		{"a socket from outside of the mesh, used by a workload", stranger, client, "127.0.1.1:80"},
	} {
		line, err := connectPassed(c.maker, c.user, inet4("127.0.1.1", 80))
		if err != nil || line != c.want {
			t.Errorf("%s: led to %q, %v", c.name, line, err)
		}
	}
}

// connectPassed makes a socket in one pod, passes it to another, and connects
// it there.
func connectPassed(maker, user *pod, to unix.Sockaddr) (line string, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	maker.do(func() {
		var fd int
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err == nil {
			err = unix.Sendmsg(pair[0], []byte("x"), unix.UnixRights(fd), nil, 0)
			unix.Close(fd)
		}
	})
	if err != nil {
		return "", err
	}
	user.do(func() {
		var fd int
		if fd, err = receive(pair[1]); err != nil {
			return
		}
		defer unix.Close(fd)
		if err = unix.Connect(fd, to); err == nil {
			line, err = readLine(fd)
		}
	})
	return line, err
}

// receive takes a passed file descriptor.
func receive(from int) (int, error) {
	b, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(from, b, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return 0, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return 0, fmt.Errorf("%d messages: %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return 0, fmt.Errorf("%d descriptors: %w", len(fds), err)
	}
	return fds[0], nil
}

// TestEnvoysCgroupIsClosed: who is root in a user namespace of its own, with a
// cgroup namespace and a mount of the hierarchy, does not get in.
func TestEnvoysCgroupIsClosed(t *testing.T) {
	cfg := testConfig(t)
	openTest(t, cfg)
	script := `echo $$ >"$ENVOY/cgroup.procs" && echo entered by path
mount -t tmpfs none /mnt && mkdir /mnt/c && mount -t cgroup2 none /mnt/c && echo mounted
for dir in $(find /mnt/c -name "${ENVOY##*/}"); do echo $$ >"$dir/cgroup.procs" && echo entered by mount; done
echo done`
	cmd := exec.Command("unshare", "--user", "--map-root-user", "--mount", "--cgroup", "sh", "-c", script)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "ENVOY="+cfg.EnvoyCgroup)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Contains(string(out), "entered") || !strings.Contains(string(out), "done") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestPinsAreClosed: the pins are root's alone, also in a folder that was there
// before with another mode.
func TestPinsAreClosed(t *testing.T) {
	cfg := testConfig(t)
	if err := MakePinFolder(cfg.BPFFS); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(cfg.BPFFS, 0o777), os.Chown(cfg.BPFFS, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	d := openTest(t, cfg)
	mustSync(t, d, newMesh().m)
	err := filepath.WalkDir(cfg.BPFFS, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 || info.Sys().(*syscall.Stat_t).Uid != 0 {
			t.Errorf("%s has mode %v, owner %d", path, info.Mode(), info.Sys().(*syscall.Stat_t).Uid)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

const dropSYNs = "table ip slt { chain in { type filter hook input priority 0; tcp dport 15001 tcp flags syn drop; }; }"

// TestFloodOfHandoffs: a workload leaves more connections half-open than the map
// holds. Those of others still get to Envoy, also one that was under way before.
func TestFloodOfHandoffs(t *testing.T) {
	cfg := testConfig(t)
	const size = 8192
	cfg.Sizes["sl_handoffs"] = size
	attacker, victim := newPod(t), newPod(t)
	b := newMesh().workload(attacker.workload("shop", "attacker")).workload(victim.workload("shop", "victim"))
	b.l7("l7", 80, "10.96.0.2")
	d := openTest(t, cfg)
	mustSync(t, d, b.m)
	startEnvoy(t, victim, cfg)
	attacker.nft(dropSYNs)
	slow := victim.slowly(d)
	var fds []int
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	flood := make(chan []int)
	go func() { flood <- attacker.halfOpen(size+size/2, "10.96.0.2") }()
	for range 300 {
		if line, err := victim.reach("tcp", "10.96.0.2:80"); err != nil || line != "envoy 10.96.0.2:80" {
			t.Errorf("during the flood: %q, %v", line, err)
			break
		}
	}
	fds = <-flood
	if err := waiting(d, victim.cookie, 1); err != nil {
		t.Error("after the flood:", err)
	}
	slow("after the flood")
}

// TestDestinationIsAnnouncedAgain: a connection whose place another one took gets
// to Envoy when its SYN is sent again.
func TestDestinationIsAnnouncedAgain(t *testing.T) {
	cfg := testConfig(t)
	client := newPod(t)
	d := attackMesh(t, cfg, client)
	startEnvoy(t, client, cfg)
	slow := client.slowly(d)
	m := d.maps["sl_handoffs"]
	key := make([]byte, m.KeySize())
	if err := m.NextKey(nil, &key); err != nil {
		t.Fatal(err)
	}
	if err := m.Delete(key); err != nil {
		t.Fatal(err)
	}
	slow("after its place was taken")
}
