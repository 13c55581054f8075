package echo

import (
	"fmt"
	"net/netip"
	"strings"
)

// Datagram is a UDP echo server's answer: its name, the sender's address as it
// saw it, and what was sent.
type Datagram struct {
	Name    string
	Remote  netip.AddrPort
	Payload string
}

// FormatDatagram makes the answer of a UDP echo server.
func FormatDatagram(name string, remote netip.AddrPort, payload []byte) []byte {
	return fmt.Appendf(nil, "%s %s %s", name, netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port()), payload)
}

// ParseDatagram reads a UDP echo server's answer.
func ParseDatagram(b []byte) (*Datagram, error) {
	f := strings.SplitN(string(b), " ", 3)
	if len(f) != 3 {
		return nil, fmt.Errorf("datagram %q: want name, remote, payload", b)
	}
	ap, err := addrPort(f[1])
	if err != nil {
		return nil, err
	}
	return &Datagram{Name: f[0], Remote: ap, Payload: f[2]}, nil
}
