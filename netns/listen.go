package netns

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// listener is a TCP socket that listens in a network namespace.
type listener struct {
	addr   netip.Addr
	cgroup uint64 // in which it was made
	uid    uint32
}

// Of the kernel's linux/inet_diag.h and linux/sock_diag.h.
const (
	sockDiagByFamily = 20
	tcpListen        = 10
	tcpBound         = 13 // bound, and no more; kernels before 6.8 do not tell
	attrCgroupID     = 21
	requestSize      = 56
	answerSize       = 72
)

// listeners are the sockets of a port that listen (or are in another state), of
// both families; sock is a netlink socket of the network namespace. Those of IPv6
// may take connections of IPv4, too.
func listeners(sock int, port uint16, state uint32) ([]listener, error) {
	var all []listener
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		found, err := listenersOf(sock, family, port, state)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func listenersOf(sock int, family uint8, port uint16, state uint32) ([]listener, error) {
	if err := unix.Sendto(sock, diagRequest(family, state), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("ask for the sockets that listen: %w", err)
	}
	var found []listener
	buf := make([]byte, 1<<16)
	for {
		n, _, err := unix.Recvfrom(sock, buf, 0)
		if err != nil {
			return nil, fmt.Errorf("ask for the sockets that listen: %w", err)
		}
		more, err := parseDiag(buf[:n], port, &found)
		if err != nil || !more {
			return found, err
		}
	}
}

func diagRequest(family uint8, state uint32) []byte {
	b := make([]byte, unix.NLMSG_HDRLEN+requestSize)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], sockDiagByFamily)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	b[unix.NLMSG_HDRLEN] = family
	b[unix.NLMSG_HDRLEN+1] = unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(b[unix.NLMSG_HDRLEN+4:], 1<<state)
	return b
}

// errCut says that the kernel's answer is not what it should be.
var errCut = errors.New("the kernel's answer is cut off")

// parseDiag adds the sockets of a port; false when they were the last.
func parseDiag(b []byte, port uint16, found *[]listener) (more bool, err error) {
	for len(b) >= unix.NLMSG_HDRLEN {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.NLMSG_HDRLEN || size > len(b) {
			return false, errCut
		}
		body := b[unix.NLMSG_HDRLEN:size]
		switch binary.NativeEndian.Uint16(b[4:]) {
		case unix.NLMSG_DONE:
			return false, nil
		case unix.NLMSG_ERROR:
			if len(body) < 4 {
				return false, errCut
			}
			return false, fmt.Errorf("ask for the sockets that listen: %w", unix.Errno(-int32(binary.NativeEndian.Uint32(body))))
		case sockDiagByFamily:
			if len(body) < answerSize {
				return false, errCut
			}
			if binary.BigEndian.Uint16(body[4:]) == port {
				*found = append(*found, parseListener(body))
			}
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return true, nil
}

// parseListener reads struct inet_diag_msg and its attributes.
func parseListener(b []byte) listener {
	l := listener{uid: binary.NativeEndian.Uint32(b[64:])}
	if b[0] == unix.AF_INET {
		l.addr, _ = netip.AddrFromSlice(b[8:12])
	} else {
		l.addr, _ = netip.AddrFromSlice(bytes.Clone(b[8:24]))
	}
	for attrs := b[answerSize:]; len(attrs) >= 4; {
		size := int(binary.NativeEndian.Uint16(attrs))
		if size < 4 || size > len(attrs) {
			break
		}
		if binary.NativeEndian.Uint16(attrs[2:]) == attrCgroupID && size >= 12 {
			l.cgroup = binary.NativeEndian.Uint64(attrs[4:])
		}
		attrs = attrs[min(len(attrs), (size+3)&^3):]
	}
	return l
}

// on tells whether a socket takes connections to a loopback address, or keeps
// others from taking them.
func (l listener) on(loopback netip.Addr) bool {
	a := l.addr.Unmap()
	return a == loopback || a.IsUnspecified() && (a.Is6() || loopback.Is4())
}
