package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"sluice.io/sluice/test/apps/echo"
)

// tcpRole connects to each IP:port in turn by the system calls that mode tells,
// holds all connections open until the end, and prints a report of each.
func tcpRole(_ context.Context, args []string) error {
	fs := flag.NewFlagSet("tcp", flag.ContinueOnError)
	mode := fs.String("mode", "plain", "plain, mapped (AF_INET6 socket), nonblock, tfo, tfo-sendto or mptcp")
	bind := fs.String("bind", "", "IP:port to bind, with SO_REUSEADDR")
	if err := fs.Parse(args); err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	for _, to := range fs.Args() {
		addr, err := netip.ParseAddrPort(to)
		if err != nil {
			return err
		}
		r, s := connectTCP(addr, *mode, *bind)
		defer s.close()
		if err := out.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

func connectTCP(addr netip.AddrPort, mode, bind string) (*echo.SockReport, sock) {
	r := &echo.SockReport{Step: mode + " " + addr.String()}
	s, err := dialTCP(addr, mode, bind)
	if err == nil {
		err = converse(s, r, mode == "tfo" || mode == "tfo-sendto")
	}
	if err != nil {
		r.Err = errnoName(err)
		if f, ok := err.(*failure); ok { //nolint:errorlint // Made here, never wrapped.
			r.Call = f.call
		}
	}
	return r, s
}

func dialTCP(addr netip.AddrPort, mode, bind string) (sock, error) {
	v6 := addr.Addr().Is6() || mode == "mapped"
	kind, proto := unix.SOCK_STREAM, 0
	switch mode {
	case "nonblock":
		kind |= unix.SOCK_NONBLOCK
	case "mptcp":
		proto = unix.IPPROTO_MPTCP
	}
	s, err := open(v6, kind, proto)
	if err != nil {
		return s, err
	}
	if bind != "" {
		if err := s.bind(bind, v6); err != nil {
			return s, err
		}
	}
	sa := sockaddr(addr, v6)
	switch mode {
	case "nonblock":
		return s, s.connectLater(sa)
	case "tfo":
		if err := unix.SetsockoptInt(int(s), unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT, 1); err != nil {
			return s, &failure{"setsockopt TCP_FASTOPEN_CONNECT", err}
		}
	case "tfo-sendto":
		if err := unix.Sendto(int(s), []byte("hello\n"), unix.MSG_FASTOPEN, sa); err != nil {
			return s, &failure{"sendto MSG_FASTOPEN", err}
		}
		return s, nil
	}
	if err := unix.Connect(int(s), sa); err != nil {
		return s, &failure{"connect", err}
	}
	if mode == "tfo" {
		if _, err := unix.Write(int(s), []byte("hello\n")); err != nil {
			return s, &failure{"write", err}
		}
	}
	return s, nil
}

func (s sock) bind(addr string, v6 bool) error {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return err
	}
	if err := unix.SetsockoptInt(int(s), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return &failure{"setsockopt SO_REUSEADDR", err}
	}
	if err := unix.Bind(int(s), sockaddr(ap, v6)); err != nil {
		return &failure{"bind", err}
	}
	return nil
}

// connectLater connects a non-blocking socket and waits for it as an event loop does.
func (s sock) connectLater(sa unix.Sockaddr) error {
	err := unix.Connect(int(s), sa)
	if err != unix.EINPROGRESS { //nolint:errorlint // System calls return bare errnos.
		return &failure{"connect", fmt.Errorf("want EINPROGRESS: %w", err)}
	}
	p := []unix.PollFd{{Fd: int32(s), Events: unix.POLLOUT}}
	if n, err := unix.Poll(p, 3000); err != nil || n != 1 {
		return &failure{"poll", fmt.Errorf("%d ready: %w", n, err)}
	}
	e, err := unix.GetsockoptInt(int(s), unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return &failure{"getsockopt SO_ERROR", err}
	}
	if e != 0 {
		return &failure{"connect", unix.Errno(e)}
	}
	if err := unix.SetNonblock(int(s), false); err != nil {
		return &failure{"fcntl", err}
	}
	return nil
}

// converse reads the server's greeting and has a line echoed, which is already
// on its way when said is true.
func converse(s sock, r *echo.SockReport, said bool) error {
	r.Peername, r.Sockname, r.OriginalDst = s.peername(), s.sockname(), s.originalDst()
	if !said {
		if _, err := unix.Write(int(s), []byte("hello\n")); err != nil {
			return &failure{"write", err}
		}
	}
	in := bufio.NewReader(reader(s))
	greeting, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	if _, err := fmt.Sscan(greeting, &r.Name, &r.Remote); err != nil {
		return fmt.Errorf("greeting %q: %w", greeting, err)
	}
	back, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	if back != "hello\n" {
		return fmt.Errorf("sent hello, got %q back", back)
	}
	return nil
}

// reader reads from a sock.
type reader sock

// Read implements io.Reader.
func (r reader) Read(b []byte) (int, error) {
	n, err := unix.Read(int(r), b)
	if err != nil {
		return 0, &failure{"read", err}
	}
	if n == 0 {
		return 0, &failure{"read", fmt.Errorf("closed by the server")}
	}
	return n, nil
}
