package redirect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// mapped dials an IPv4 address from an IPv6 socket.
func (p *pod) mapped(addr string) (peer, line string, err error) {
	to, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return "", "", err
	}
	var fd int
	p.do(func() {
		fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrInet6{Port: to.Port, Addr: [16]byte(to.IP.To16())})
		}
	})
	if err != nil {
		return "", "", err
	}
	defer unix.Close(fd)
	sa, err := unix.Getpeername(fd)
	if err != nil {
		return "", "", err
	}
	peer6 := sa.(*unix.SockaddrInet6)
	peer = fmt.Sprintf("[::ffff:%s]:%d", net.IP(peer6.Addr[:]), peer6.Port)
	line, err = readLine(fd)
	return peer, line, err
}

// noDestination: Envoy was told an error, which one depends on the kernel's
// modules.
func noDestination(line string) bool {
	switch strings.TrimPrefix(strings.TrimSpace(line), "envoy ") {
	case unix.EPERM.Error(), unix.ENOENT.Error(), unix.ENOPROTOOPT.Error():
		return true
	}
	return false
}

func (p *pod) nft(rules string) {
	p.t.Helper()
	p.do(func() {
		cmd := exec.Command("nft", "-f", "-")
		cmd.Stdin = strings.NewReader(rules)
		if out, err := cmd.CombinedOutput(); err != nil {
			p.t.Errorf("nft: %v: %s", err, out)
		}
	})
}

// reconnect connects a socket, dissolves the association, connects again, and
// returns what it reads.
func reconnect(first string, firstPort int, second string, secondPort int) (string, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, inet4(first, firstPort)); err != nil {
		return "", err
	}
	if err := disconnect(fd); err != nil {
		return "", err
	}
	if err := unix.Connect(fd, inet4(second, secondPort)); err != nil {
		return "", err
	}
	return readLine(fd)
}

func readLine(fd int) (string, error) {
	b := make([]byte, 256)
	n, err := unix.Read(fd, b)
	line, _, _ := strings.Cut(string(b[:max(n, 0)]), "\n")
	return line, err
}

func inet4(ip string, port int) *unix.SockaddrInet4 {
	return &unix.SockaddrInet4{Port: port, Addr: [4]byte(net.ParseIP(ip).To4())}
}

func (p *pod) listen(addr string) (l net.Listener, err error) {
	p.do(func() {
		if l, err = net.Listen("tcp", addr); err == nil {
			l.Close()
		}
	})
	return l, err
}

func (p *pod) reachMarked(addr string, mark int) (string, error) {
	d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		return errors.Join(raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, mark)
		}), err)
	}}
	var (
		c   net.Conn
		err error
	)
	p.do(func() { c, err = d.Dial("tcp", addr) })
	if err != nil {
		return "", err
	}
	defer c.Close()
	return firstLine(c)
}

// fastOpen sends data with the SYN, without connect().
func fastOpen(vip string) (string, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, []byte("x"), unix.MSG_FASTOPEN, inet4(vip, 80)); err != nil {
		return "", err
	}
	return readLine(fd)
}

// disconnect is connect(AF_UNSPEC).
func disconnect(fd int) error {
	var unspec [16]byte
	_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), bytesPointer(unspec[:]), uintptr(len(unspec)))
	if errno != 0 {
		return errno
	}
	return nil
}

// socket makes a TCP socket of the pod.
func (p *pod) socket() (fd int, err error) {
	p.do(func() { fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0) })
	return fd, err
}

// slowly starts a connection to Envoy whose SYN does not arrive until the returned
// function lets it, and checks where it led to.
func (p *pod) slowly(d *Datapath) (check func(when string)) {
	p.t.Helper()
	p.nft("table ip slt { chain in { type filter hook input priority 0; tcp sport 20000 tcp flags syn drop; }; }")
	p.sysctl("net/ipv4/ip_local_port_range", "40000 41000") // others' ports have other places
	fd, err := p.socket()
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, inet4("127.0.0.1", 20000)); err != nil {
		p.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- unix.Connect(fd, inet4("10.96.0.2", 80)) }()
	eventually(p.t, "the SYN is under way", func() error { return waiting(d, p.cookie, 1) })
	return func(when string) {
		p.t.Helper()
		p.nft("delete table ip slt")
		if err := <-done; err != nil {
			p.t.Errorf("%s: %v", when, err)
			return
		}
		if line, err := readLine(fd); line != "envoy 10.96.0.2:80" {
			p.t.Errorf("%s it led to %q, %v", when, line, err)
		}
	}
}

// halfOpen starts n connections, and does not wait for them.
func (p *pod) halfOpen(n int, vip string) (fds []int) {
	p.do(func() {
		for range n {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
			if err != nil {
				p.t.Error(err)
				return
			}
			fds = append(fds, fd)
			if err := unix.Connect(fd, inet4(vip, 80)); !errors.Is(err, unix.EINPROGRESS) {
				p.t.Error(err)
				return
			}
		}
	})
	return fds
}

// waiting checks how many connections of a network namespace are on their way.
func waiting(d *Datapath, netns uint64, want int) error {
	m := d.maps["sl_handoffs"]
	key, value := make([]byte, m.KeySize()), make([]byte, m.ValueSize())
	n := 0
	it := m.Iterate()
	for it.Next(&key, &value) {
		if binary.NativeEndian.Uint64(key) == netns {
			n++
		}
	}
	if n != want {
		return fmt.Errorf("%d connections of %d on their way, want %d", n, netns, want)
	}
	return it.Err()
}
