package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"sluice.io/sluice/test/apps/echo"
)

// udpRole takes one UDP socket through steps and prints a report of each:
//
//	connect=IP:port   connect, or connect anew
//	disconnect        connect to AF_UNSPEC
//	send              send on the connected socket and read the answer
//	sendto=IP:port    send to an address and read the answer
func udpRole(_ context.Context, args []string) error {
	fs := flag.NewFlagSet("udp", flag.ContinueOnError)
	v6 := fs.Bool("6", false, "use an AF_INET6 socket; IPv4 addresses become v4-mapped")
	if err := fs.Parse(args); err != nil {
		return err
	}
	s, err := open(*v6, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer s.close()
	out := json.NewEncoder(os.Stdout)
	for _, step := range fs.Args() {
		r := &echo.SockReport{Step: step}
		if err := s.step(step, *v6, r); err != nil {
			r.Err = errnoName(err)
			if f, ok := err.(*failure); ok { //nolint:errorlint // Made here, never wrapped.
				r.Call = f.call
			}
		}
		r.Peername, r.Sockname = s.peername(), s.sockname()
		if err := out.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

func (s sock) step(step string, v6 bool, r *echo.SockReport) error {
	verb, to, _ := strings.Cut(step, "=")
	var sa unix.Sockaddr
	if to != "" {
		addr, err := netip.ParseAddrPort(to)
		if err != nil {
			return err
		}
		sa = sockaddr(addr, v6)
	}
	switch verb {
	case "connect":
		if err := unix.Connect(int(s), sa); err != nil {
			return &failure{"connect", err}
		}
		return nil
	case "disconnect":
		return s.disconnect()
	case "send":
		if _, err := unix.Write(int(s), []byte("hello")); err != nil {
			return &failure{"send", err}
		}
	case "sendto":
		if err := unix.Sendto(int(s), []byte("hello"), 0, sa); err != nil {
			return &failure{"sendto", err}
		}
	default:
		return fmt.Errorf("unknown step %q", step)
	}
	return s.answered(r)
}

func (s sock) disconnect() error {
	raw := unix.RawSockaddrInet4{Family: unix.AF_UNSPEC}
	if err := connectRaw(int(s), &raw); err != nil {
		return &failure{"disconnect", err}
	}
	return nil
}

func (s sock) answered(r *echo.SockReport) error {
	buf := make([]byte, 2048)
	var from unix.Sockaddr
	n, err := restarted(func() (n int, err error) {
		n, from, err = unix.Recvfrom(int(s), buf, 0)
		return n, err
	})
	if err != nil {
		return &failure{"recvfrom", err}
	}
	r.From = addrText(from, nil)
	d, err := echo.ParseDatagram(buf[:n])
	if err != nil {
		return err
	}
	r.Name, r.Remote = d.Name, d.Remote.String()
	if d.Payload != "hello" {
		return fmt.Errorf("sent hello, got %q back", d.Payload)
	}
	return nil
}
