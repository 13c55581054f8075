package redirect

import (
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
	unspec := [16]byte{}
	if _, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), bytesPointer(unspec[:]), uintptr(len(unspec))); errno != 0 {
		return "", errno
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
