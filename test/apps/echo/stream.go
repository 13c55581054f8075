package echo

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// TCP is a connection to a TCP echo server, which greets with a line that says
// its name and the addresses of both ends as it sees them.
type TCP struct {
	net.Conn
	r *bufio.Reader
	// Name, Remote and Local are from the server's greeting.
	Name   string
	Remote netip.AddrPort
	Local  netip.AddrPort
}

// Greeting is the line with which a TCP echo server greets.
func Greeting(name string, remote, local net.Addr) string {
	return fmt.Sprintf("%s %s %s\n", name, remote, local)
}

// Greeted reads the server's greeting on a new connection.
func Greeted(c net.Conn) (*TCP, error) {
	t := &TCP{Conn: c, r: bufio.NewReader(c)}
	line, err := t.line()
	if err != nil {
		return nil, fmt.Errorf("read greeting: %w", err)
	}
	t.Name, t.Remote, t.Local, err = parseGreeting(line)
	if err != nil {
		return nil, err
	}
	return t, nil
}

func parseGreeting(line string) (name string, remote, local netip.AddrPort, err error) {
	f := strings.Fields(line)
	if len(f) != 3 {
		return "", remote, local, fmt.Errorf("greeting %q: want name, remote, local", line)
	}
	if remote, err = addrPort(f[1]); err != nil {
		return "", remote, local, err
	}
	local, err = addrPort(f[2])
	return f[0], remote, local, err
}

func addrPort(s string) (netip.AddrPort, error) {
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		return ap, err
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
}

// Say sends a line and expects it back.
func (t *TCP) Say(text string) error {
	if _, err := fmt.Fprintln(t.Conn, text); err != nil {
		return err
	}
	got, err := t.line()
	if err != nil {
		return err
	}
	if got != text {
		return fmt.Errorf("sent %q, got %q back", text, got)
	}
	return nil
}

func (t *TCP) line() (string, error) {
	if err := t.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	s, err := t.r.ReadString('\n')
	return strings.TrimSuffix(s, "\n"), err
}
