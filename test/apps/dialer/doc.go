// Package dialer lets a test hold connections that a process in a pod made: the
// process makes the socket and connects it, in its own network namespace and
// cgroup, and hands it over a unix socket to the test.
//
// It owns the protocol and both of its ends; it must not know Sluice.
package dialer

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// request asks for one connection.
type request struct {
	// Network is tcp, tcp4, tcp6, udp, udp4 or udp6; Address is IP:port.
	Network string `json:"network"`
	Address string `json:"address"`
	// Local is the address to bind first, IP:port; empty for none.
	Local   string        `json:"local,omitempty"`
	Timeout time.Duration `json:"timeout"`
}

// reply is the answer to a request; the connection travels beside it.
type reply struct {
	Err   string        `json:"err,omitempty"`
	Errno syscall.Errno `json:"errno,omitempty"`
}

// Error is a failure to connect that the pod's process met. It unwraps to the
// errno, so that errors.Is(err, syscall.ECONNREFUSED) works.
type Error struct {
	Text  string
	Errno syscall.Errno
}

// Error implements error.
func (e *Error) Error() string { return "in the pod: " + e.Text }

// Unwrap returns the errno, or nil when there was none.
func (e *Error) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return e.Errno
}

// Timeout implements net.Error.
func (e *Error) Timeout() bool { return e.Errno == syscall.ETIMEDOUT }

// Temporary implements net.Error.
func (e *Error) Temporary() bool { return false }

func failed(err error) reply {
	r := reply{Err: err.Error()}
	var timeout net.Error
	switch {
	case errors.As(err, &r.Errno):
	case errors.As(err, &timeout) && timeout.Timeout():
		r.Errno = syscall.ETIMEDOUT
	}
	return r
}

// send writes v as JSON, with a file descriptor beside it unless fd is negative.
func send(c *net.UnixConn, v any, fd int) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var oob []byte
	if fd >= 0 {
		oob = unix.UnixRights(fd)
	}
	_, _, err = c.WriteMsgUnix(b, oob, nil)
	return err
}

// receive reads what send wrote; fd is negative when none came.
func receive(c *net.UnixConn, v any) (fd int, err error) {
	buf, oob := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := c.ReadMsgUnix(buf, oob)
	if err != nil {
		return -1, err
	}
	fd, err = rights(oob[:oobn])
	if err != nil {
		return -1, err
	}
	if err := json.Unmarshal(buf[:n], v); err != nil {
		return fd, fmt.Errorf("decode %q: %w", buf[:n], err)
	}
	return fd, nil
}

func rights(oob []byte) (int, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return -1, err
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return -1, err
		}
		if len(fds) == 1 {
			unix.CloseOnExec(fds[0])
			return fds[0], nil
		}
	}
	return -1, nil
}
