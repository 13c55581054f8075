package main

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// sock is a raw socket descriptor: these roles make the system calls that
// applications in other languages make, which Go's net package would hide.
type sock int

// failure is a system call that failed.
type failure struct {
	call string
	err  error
}

func (f *failure) Error() string { return f.call + ": " + f.err.Error() }

func (f *failure) Unwrap() error { return f.err }

// errnoName is the symbolic name of the errno in err, or its text.
func errnoName(err error) string {
	var e syscall.Errno
	if errors.As(err, &e) {
		return unix.ErrnoName(e)
	}
	return err.Error()
}

func open(v6 bool, kind, proto int) (sock, error) {
	family := unix.AF_INET
	if v6 {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return -1, &failure{"socket", err}
	}
	for _, opt := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, opt, &unix.Timeval{Sec: 3}); err != nil {
			return -1, &failure{"setsockopt timeout", err}
		}
	}
	return sock(fd), nil
}

func (s sock) close() { _ = unix.Close(int(s)) }

// sockaddr is addr for a socket of that family; IPv4 on an IPv6 socket becomes
// v4-mapped.
func sockaddr(addr netip.AddrPort, v6 bool) unix.Sockaddr {
	if v6 {
		return &unix.SockaddrInet6{Addr: addr.Addr().As16(), Port: int(addr.Port())}
	}
	return &unix.SockaddrInet4{Addr: addr.Addr().Unmap().As4(), Port: int(addr.Port())}
}

func addrText(sa unix.Sockaddr, err error) string {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)).String()
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port)).String()
	}
	if err != nil {
		return errnoName(err)
	}
	return fmt.Sprintf("%T", sa)
}

func (s sock) peername() string { return addrText(unix.Getpeername(int(s))) }

func (s sock) sockname() string { return addrText(unix.Getsockname(int(s))) }

// originalDst asks for the destination before a redirection, which an
// application's own socket has none of.
func (s sock) originalDst() string {
	const soOriginalDst = 80
	a, err := unix.GetsockoptIPv6Mreq(int(s), unix.SOL_IP, soOriginalDst)
	if err != nil {
		return errnoName(err)
	}
	return fmt.Sprint(a.Multiaddr)
}
