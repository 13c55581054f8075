package main

import (
	"fmt"
	"io"
	"net"
	"net/netip"

	"sluice.io/sluice/test/apps/echo"
)

// tcp greets each connection with the server's name and both addresses, and
// then echoes bytes.
func (s *server) tcp(addr string) (part, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return part{}, err
	}
	serve := func() error {
		for {
			c, err := l.Accept()
			if err != nil {
				return err
			}
			go s.echoTCP(c)
		}
	}
	return part{serve: serve, stop: func() { _ = l.Close() }}, nil
}

func (s *server) echoTCP(c net.Conn) {
	defer func() { _ = c.Close() }()
	if _, err := fmt.Fprint(c, echo.Greeting(s.name, c.RemoteAddr(), c.LocalAddr())); err == nil {
		_, _ = io.Copy(c, c)
	}
}

// udp answers each datagram with the server's name, the sender, and the datagram.
func (s *server) udp(addr string) (part, error) {
	ua, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return part{}, err
	}
	c, err := net.ListenUDP("udp", ua)
	if err != nil {
		return part{}, err
	}
	serve := func() error {
		buf := make([]byte, 64<<10)
		for {
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return err
			}
			s.answerUDP(c, from, buf[:n])
		}
	}
	return part{serve: serve, stop: func() { _ = c.Close() }}, nil
}

func (s *server) answerUDP(c *net.UDPConn, to netip.AddrPort, payload []byte) {
	// An answer that can't be sent is lost, as datagrams may be.
	_, _ = c.WriteToUDPAddrPort(echo.FormatDatagram(s.name, to, payload), to)
}
