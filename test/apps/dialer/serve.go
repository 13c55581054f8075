package dialer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Serve makes connections for those who ask on the unix socket at path, until
// ctx is done. It calls ready once it listens.
func Serve(ctx context.Context, path string, ready func()) error {
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	ready()
	for {
		c, err := l.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go answer(ctx, c)
	}
}

// answer serves one request. A test that is gone needs no answer.
func answer(ctx context.Context, c *net.UnixConn) {
	defer func() { _ = c.Close() }()
	var req request
	if _, err := receive(c, &req); err != nil {
		return
	}
	f, err := connect(ctx, req)
	if err != nil {
		_ = send(c, failed(err), -1)
		return
	}
	defer func() { _ = f.Close() }()
	_ = send(c, reply{}, int(f.Fd()))
}

func connect(ctx context.Context, req request) (*os.File, error) {
	d := net.Dialer{Timeout: req.Timeout}
	if req.Local != "" {
		local, err := localAddr(req.Network, req.Local)
		if err != nil {
			return nil, err
		}
		d.LocalAddr, d.Control = local, reuse
	}
	conn, err := d.DialContext(ctx, req.Network, req.Address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	switch c := conn.(type) {
	case *net.TCPConn:
		return c.File()
	case *net.UDPConn:
		return c.File()
	}
	return nil, fmt.Errorf("network %q: no socket to hand over", req.Network)
}

// reuse lets one local port serve for several connections.
func reuse(_, _ string, c syscall.RawConn) error {
	var err error
	if controlErr := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}); controlErr != nil {
		return controlErr
	}
	return err
}

func localAddr(network, addr string) (net.Addr, error) {
	if network[:3] == "udp" {
		return net.ResolveUDPAddr(network, addr)
	}
	return net.ResolveTCPAddr(network, addr)
}

// Client asks the process that serves Socket for connections.
type Client struct {
	Socket string
	// Timeout bounds each connect; zero means 10 seconds.
	Timeout time.Duration
}

// Dial makes a connection to an IP:port from the pod.
func (c *Client) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return c.DialFrom(ctx, network, "", address)
}

// DialFrom is Dial from a local IP:port.
func (c *Client) DialFrom(ctx context.Context, network, local, address string) (net.Conn, error) {
	req := request{Network: network, Address: address, Local: local, Timeout: c.Timeout}
	if req.Timeout == 0 {
		req.Timeout = 10 * time.Second
	}
	u, err := (&net.Dialer{}).DialContext(ctx, "unixpacket", c.Socket)
	if err != nil {
		return nil, fmt.Errorf("ask the pod's dialer: %w", err)
	}
	defer func() { _ = u.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = u.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	conn, err := exchange(u.(*net.UnixConn), req)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return conn, err
}

func exchange(u *net.UnixConn, req request) (net.Conn, error) {
	if err := send(u, req, -1); err != nil {
		return nil, fmt.Errorf("ask the pod's dialer: %w", err)
	}
	var r reply
	fd, err := receive(u, &r)
	if err != nil {
		return nil, fmt.Errorf("hear from the pod's dialer: %w", err)
	}
	if r.Err != "" {
		return nil, &net.OpError{Op: "dial", Net: req.Network, Err: &Error{Text: r.Err, Errno: r.Errno}}
	}
	if fd < 0 {
		return nil, errors.New("the pod's dialer sent no socket")
	}
	f := os.NewFile(uintptr(fd), "pod-socket")
	defer func() { _ = f.Close() }()
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("take the pod's socket: %w", err)
	}
	return conn, nil
}

var _ net.Error = (*Error)(nil)
