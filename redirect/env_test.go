package redirect

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice.io/sluice/model"
)

var serial atomic.Int32

// testConfig is a data path of the test's own, removed at its end.
func testConfig(t *testing.T) Config {
	t.Helper()
	if testing.Short() {
		t.Skip("needs root and a kernel")
	}
	name := fmt.Sprintf("slt-%d-%d", os.Getpid(), serial.Add(1))
	cfg := Config{
		BPFFS:       filepath.Join(defaultBPFFS, name),
		CgroupRoot:  testRoot,
		EnvoyCgroup: filepath.Join(testRoot, name),
		Log:         slog.New(slog.NewTextHandler(io.Discard, nil)),
		Sizes:       map[string]uint32{"sl_affinity": 4096, "sl_udp_flows": 4096, "sl_udp_replies": 4096, "sl_handoffs": 4096},
	}
	if err := os.Mkdir(cfg.EnvoyCgroup, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Uninstall(cfg); err != nil {
			t.Error(err)
		}
		eventually(t, "the cgroup is empty", func() error { return os.Remove(cfg.EnvoyCgroup) })
	})
	return cfg
}

func openTest(t *testing.T, cfg Config) *Datapath {
	t.Helper()
	d, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func mustSync(t *testing.T, d *Datapath, m *model.Mesh) {
	t.Helper()
	if err := d.Sync(m); err != nil {
		t.Fatal(err)
	}
}

// eventually polls until f has no error.
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

// pod is a network namespace, entered by one thread that runs functions in it.
type pod struct {
	t      *testing.T
	cookie uint64
	calls  chan func()
}

// newPod makes a network namespace with the loopback up. Besides 127.0.0.0/8 it
// has the addresses fd00::1 to fd00::4.
func newPod(t *testing.T) *pod {
	t.Helper()
	p := &pod{t: t, calls: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends here, and the namespace with it
		err := unix.Unshare(unix.CLONE_NEWNET)
		ready <- err
		for f := range p.calls {
			f()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(p.calls) })
	p.do(func() {
		script := "link set lo up\n"
		for i := 1; i <= 4; i++ {
			script += fmt.Sprintf("addr add fd00::%d/128 dev lo nodad\n", i)
		}
		cmd := exec.Command("ip", "-batch", "-")
		cmd.Stdin = strings.NewReader(script)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("set up a pod: %v: %s", err, out)
		}
		var err error
		if p.cookie, err = threadCookie(); err != nil {
			t.Error(err)
		}
	})
	if p.cookie == 0 {
		t.FailNow()
	}
	return p
}

func threadCookie() (uint64, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	return unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
}

// do runs f on the pod's thread: sockets that it makes are the pod's.
func (p *pod) do(f func()) {
	done := make(chan struct{})
	p.calls <- func() { defer close(done); f() }
	<-done
}

// thread is the id of the pod's thread.
func (p *pod) thread() (id int) {
	p.do(func() { id = unix.Gettid() })
	return id
}

func (p *pod) workload(namespace, name string) *model.Workload {
	return &model.Workload{
		Key: model.WorkloadKey{Namespace: namespace, Name: name}, ServiceAccount: "default",
		Place: &model.Place{Cookie: p.cookie},
	}
}

// serve listens for TCP in the pod, and tells each client the address that it
// reached, in a line; then it echoes.
func (p *pod) serve(addr string) {
	p.t.Helper()
	var (
		l   net.Listener
		err error
	)
	p.do(func() { l, err = net.Listen("tcp", addr) })
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				fmt.Fprintln(c, addr)
				_, _ = io.Copy(c, c)
			}()
		}
	}()
}

// serveUDP answers each datagram with the address that it reached.
func (p *pod) serveUDP(addr string) {
	p.t.Helper()
	var (
		c   net.PacketConn
		err error
	)
	p.do(func() { c, err = net.ListenPacket("udp", addr) })
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() })
	go func() {
		var b [2048]byte
		for {
			_, from, err := c.ReadFrom(b[:])
			if err != nil {
				return
			}
			_, _ = c.WriteTo([]byte(addr), from)
		}
	}()
}

// newClient is a pod with a server for each of the addresses.
func newClient(t *testing.T, servers ...string) *pod {
	t.Helper()
	p := newPod(t)
	for _, addr := range servers {
		p.serve(addr)
	}
	return p
}

// dial connects from the pod.
func (p *pod) dial(network, addr string) (c net.Conn, err error) {
	p.do(func() { c, err = net.DialTimeout(network, addr, 5*time.Second) })
	return c, err
}

// reach dials and returns the line that the server says: where it is.
func (p *pod) reach(network, addr string) (where string, err error) {
	c, err := p.dial(network, addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	return firstLine(c)
}

func firstLine(c net.Conn) (string, error) {
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	var line []byte
	var b [1]byte
	for {
		if _, err := c.Read(b[:]); err != nil {
			return string(line), err
		}
		if b[0] == '\n' {
			return string(line), nil
		}
		line = append(line, b[0])
	}
}

// roleVar makes the test binary play another process.
const roleVar = "SLUICE_REDIRECT_TEST_ROLE"

// start runs this binary in a role, in the pod, in a cgroup. It returns when
// the process has written its first line.
func (p *pod) start(role, cgroup string, args ...string) *process {
	p.t.Helper()
	return p.startWith(nil, role, cgroup, args...)
}

func (p *pod) startWith(stdin io.Reader, role, cgroup string, args ...string) *process {
	p.t.Helper()
	dir, err := os.Open(cgroup)
	if err != nil {
		p.t.Fatal(err)
	}
	defer dir.Close()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	cmd.Stdin = stdin
	proc := &process{cmd: cmd}
	cmd.Stderr = &proc.stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	p.do(func() { err = cmd.Start() })
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(proc.kill)
	proc.out = out
	return proc
}

type process struct {
	cmd    *exec.Cmd
	out    io.Reader
	stderr bytes.Buffer
	dead   bool
}

// line reads the next line of output.
func (p *process) line() (string, error) {
	var line []byte
	var b [1]byte
	for {
		if _, err := p.out.Read(b[:]); err != nil {
			return "", fmt.Errorf("%w: %s", err, p.stderr.String())
		}
		if b[0] == '\n' {
			return string(line), nil
		}
		line = append(line, b[0])
	}
}

// kill is kill -9.
func (p *process) kill() {
	if !p.dead {
		p.dead = true
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
}

// addrs parses addresses.
func addrs(s ...string) []netip.Addr {
	var out []netip.Addr
	for _, a := range s {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}
