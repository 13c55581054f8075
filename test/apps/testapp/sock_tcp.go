package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
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
	talk := greeted
	fs.BoolFunc("http", "talk to an HTTP server, not to a TCP echo server", func(string) error {
		talk = requested
		return nil
	})
	if err := fs.Parse(args); err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	for _, to := range fs.Args() {
		addr, err := netip.ParseAddrPort(to)
		if err != nil {
			return err
		}
		r, s := connectTCP(addr, *mode, *bind, talk)
		defer s.close()
		if err := out.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

const hello = "hello\n"

// conversation is what is said on a connection: text that the client sends, on
// some ways before the connection stands, and what becomes of the answer.
type conversation struct {
	text   string
	listen func(in *bufio.Reader, r *echo.SockReport) error
}

var (
	greeted   = conversation{hello, hearGreeting}
	requested = conversation{"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", hearResponse}
)

func connectTCP(addr netip.AddrPort, mode, bind string, talk conversation) (*echo.SockReport, sock) {
	r := &echo.SockReport{Step: mode + " " + addr.String()}
	s, said, err := dialTCP(addr, mode, bind, talk.text)
	if err == nil {
		err = talk.hold(s, r, said)
	}
	if err != nil {
		r.Err = errnoName(err)
		if f, ok := err.(*failure); ok { //nolint:errorlint // Made here, never wrapped.
			r.Call = f.call
		}
	}
	return r, s
}

// dialTCP connects, and reports whether text went with the connect.
func dialTCP(addr netip.AddrPort, mode, bind, text string) (s sock, said bool, err error) {
	v6 := addr.Addr().Is6() || mode == "mapped"
	kind, proto := unix.SOCK_STREAM, 0
	switch mode {
	case "nonblock":
		kind |= unix.SOCK_NONBLOCK
	case "mptcp":
		proto = unix.IPPROTO_MPTCP
	}
	if s, err = open(v6, kind, proto); err != nil {
		return s, false, err
	}
	if bind != "" {
		if err := s.bind(bind, v6); err != nil {
			return s, false, err
		}
	}
	sa := sockaddr(addr, v6)
	switch mode {
	case "nonblock":
		return s, false, s.connectLater(sa)
	case "tfo":
		if err := unix.SetsockoptInt(int(s), unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT, 1); err != nil {
			return s, false, &failure{"setsockopt TCP_FASTOPEN_CONNECT", err}
		}
	case "tfo-sendto":
		if err := unix.Sendto(int(s), []byte(text), unix.MSG_FASTOPEN, sa); err != nil {
			return s, false, &failure{"sendto MSG_FASTOPEN", err}
		}
		return s, true, nil
	}
	return s, false, s.connect(sa)
}

// connect connects. A signal ends the call early on a socket with a timeout, and
// the Go runtime sends itself many; the kernel connects on, and is waited for.
func (s sock) connect(sa unix.Sockaddr) error {
	err := unix.Connect(int(s), sa)
	if err == unix.EINTR { //nolint:errorlint // System calls return bare errnos.
		f := s.connected()
		if f == nil {
			return nil
		}
		err = f.err
	}
	if err != nil {
		return &failure{"connect", err}
	}
	return nil
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

// connectLater connects a non-blocking socket and waits for it as an event loop
// does. A failure that comes at once is one of connect, a later one of SO_ERROR.
func (s sock) connectLater(sa unix.Sockaddr) error {
	err := unix.Connect(int(s), sa)
	if err != unix.EINPROGRESS { //nolint:errorlint // System calls return bare errnos.
		return &failure{"connect", fmt.Errorf("want EINPROGRESS: %w", err)}
	}
	if f := s.connected(); f != nil {
		return f
	}
	if err := unix.SetNonblock(int(s), false); err != nil {
		return &failure{"fcntl", err}
	}
	return nil
}

// connected waits for a socket that connects.
func (s sock) connected() *failure {
	p := []unix.PollFd{{Fd: int32(s), Events: unix.POLLOUT}}
	n, err := restarted(func() (int, error) { return unix.Poll(p, 3000) })
	if err != nil || n != 1 {
		return &failure{"poll", fmt.Errorf("%d ready: %w", n, err)}
	}
	e, err := unix.GetsockoptInt(int(s), unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return &failure{"getsockopt SO_ERROR", err}
	}
	if e != 0 {
		return &failure{"SO_ERROR", unix.Errno(e)}
	}
	return nil
}

// restarted repeats a system call that a signal ended before it did anything.
func restarted(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR { //nolint:errorlint // System calls return bare errnos.
			return n, err
		}
	}
}

// hold says the text, unless it is said already, and listens to the answer.
func (c conversation) hold(s sock, r *echo.SockReport, said bool) error {
	if !said {
		if _, err := restarted(func() (int, error) { return unix.Write(int(s), []byte(c.text)) }); err != nil {
			return &failure{"write", err}
		}
	}
	in := bufio.NewReader(reader(s))
	if err := c.listen(in, r); err != nil {
		return err
	}
	r.Peername, r.Sockname, r.OriginalDst = s.peername(), s.sockname(), s.originalDst()
	return nil
}

// hearGreeting reads a TCP echo server's greeting and the echo of the text.
func hearGreeting(in *bufio.Reader, r *echo.SockReport) error {
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
	if back != hello {
		return fmt.Errorf("sent %q, got %q back", hello, back)
	}
	return nil
}

// hearResponse reads an HTTP echo server's response.
func hearResponse(in *bufio.Reader, r *echo.SockReport) error {
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	seen, err := echo.ParseSeen(b)
	if err != nil {
		return fmt.Errorf("%s: %q: %w", resp.Status, b, err)
	}
	r.Name, r.Remote = seen.Name, seen.Remote
	return nil
}

// reader reads from a sock.
type reader sock

// Read implements io.Reader.
func (r reader) Read(b []byte) (int, error) {
	n, err := restarted(func() (int, error) { return unix.Read(int(r), b) })
	if err != nil {
		return 0, &failure{"read", err}
	}
	if n == 0 {
		return 0, &failure{"read", fmt.Errorf("closed by the server")}
	}
	return n, nil
}
