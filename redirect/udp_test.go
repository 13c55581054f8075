package redirect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"sluice.io/sluice/model"
)

func bytesPointer(b []byte) uintptr { return uintptr(unsafe.Pointer(&b[0])) }

// datagram sends one from a socket of its own, and returns the answer and where
// it seems to come from.
func (p *pod) datagram(addr string) (answer, from string, err error) {
	c, err := p.packetConn(addr)
	if err != nil {
		return "", "", err
	}
	defer c.Close()
	return exchange(c, addr)
}

// packetConn makes an unconnected socket of the address's family.
func (p *pod) packetConn(addr string) (c *net.UDPConn, err error) {
	network := "udp4"
	if netip.MustParseAddrPort(addr).Addr().Is6() {
		network = "udp6"
	}
	p.do(func() { c, err = net.ListenUDP(network, nil) })
	return c, err
}

func exchange(c *net.UDPConn, addr string) (answer, from string, err error) {
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", "", err
	}
	if _, err := c.WriteToUDPAddrPort([]byte("?"), netip.MustParseAddrPort(addr)); err != nil {
		return "", "", err
	}
	var b [256]byte
	n, source, err := c.ReadFromUDPAddrPort(b[:])
	return string(b[:n]), source.String(), err
}

// dnsMesh is a client with a UDP service of both families, whose servers say
// where they are.
func dnsMesh(t *testing.T) (*pod, meshBuilder) {
	t.Helper()
	client := newPod(t)
	ends := []string{"127.0.0.2:53", "127.0.0.3:53", "[fd00::2]:53", "[fd00::3]:53"}
	for _, addr := range ends {
		client.serveUDP(addr)
	}
	b := newMesh().workload(client.workload("shop", "client")).backend("dns", 53, model.UDP, ends...)
	b.front("dns", 53, model.UDP, addrs("10.96.0.1", "fd96::1", "10.96.0.2"))
	return client, b
}

func TestUnconnectedUDP(t *testing.T) {
	cfg := testConfig(t)
	client, b := dnsMesh(t)
	d := openTest(t, cfg)
	mustSync(t, d, b.m)
	for _, vip := range []string{"10.96.0.1:53", "[fd96::1]:53"} {
		c, err := client.packetConn(vip)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		first, from, err := exchange(c, vip)
		if err != nil || from != vip {
			t.Fatalf("%s: answer %q from %s, %v", vip, first, from, err)
		}
		for range 50 {
			if got, from, err := exchange(c, vip); got != first || from != vip || err != nil {
				t.Fatalf("%s: the flow of %s got %q from %s, %v", vip, first, got, from, err)
			}
		}
		// Its endpoint directly, from the same socket: it is itself again.
		if got, from, err := exchange(c, first); got != first || from != first {
			t.Errorf("%s directly: %q from %s, %v", first, got, from, err)
		}
		if got, from, err := exchange(c, vip); got != first || from != vip {
			t.Errorf("%s after that: %q from %s, %v", vip, got, from, err)
		}
		// The endpoint goes: the same socket moves.
		rest := []string{}
		for _, e := range b.m.Endpoints[backendKey("dns", 53, model.UDP)].Endpoints {
			if e.Addr.String() != first {
				rest = append(rest, e.Addr.String())
			}
		}
		if err := d.Apply(&model.Delta{Endpoints: newMesh().backend("dns", 53, model.UDP, rest...).m.Endpoints}); err != nil {
			t.Fatal(err)
		}
		if got, from, err := exchange(c, vip); got == first || from != vip || err != nil {
			t.Errorf("after %s went, %s: %q from %s, %v", first, vip, got, from, err)
		}
		mustSync(t, d, b.m)
	}
}

func TestUDPSpreadsAndTwoVIPsStayApart(t *testing.T) {
	cfg := testConfig(t)
	client, b := dnsMesh(t)
	d := openTest(t, cfg)
	mustSync(t, d, b.m)
	seen := map[string]bool{}
	for range 40 {
		got, _, err := client.datagram("10.96.0.1:53")
		if err != nil {
			t.Fatal(err)
		}
		seen[got] = true
	}
	if len(seen) != 2 { // by chance once in 2^39
		t.Errorf("40 sockets got to %v", seen)
	}
	c, err := client.packetConn("10.96.0.1:53")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 20 {
		for _, vip := range []string{"10.96.0.1:53", "10.96.0.2:53"} {
			if got, from, err := exchange(c, vip); from != vip || err != nil {
				t.Errorf("one socket, two VIPs: %s answered %q from %s, %v", vip, got, from, err)
			}
		}
	}
}

func TestMappedUDP(t *testing.T) {
	cfg := testConfig(t)
	client, b := dnsMesh(t)
	d := openTest(t, cfg)
	mustSync(t, d, b.m)
	var c *net.UDPConn
	var err error
	client.do(func() { c, err = net.ListenUDP("udp", nil) }) // an IPv6 socket for both
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, vip := range []string{"10.96.0.1:53", "[fd96::1]:53"} {
		got, from, err := exchange(c, vip)
		source := netip.MustParseAddrPort(from)
		if from = netip.AddrPortFrom(source.Addr().Unmap(), source.Port()).String(); from != vip || err != nil {
			t.Errorf("%s from a socket for both families: %q from %s, %v", vip, got, from, err)
		}
	}
}

func TestConnectedUDP(t *testing.T) {
	cfg := testConfig(t)
	client, b := dnsMesh(t)
	d := openTest(t, cfg)
	mustSync(t, d, b.m)
	for _, vip := range []string{"10.96.0.1:53", "[fd96::1]:53"} {
		c, err := client.dial("udp", vip)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if peer := c.RemoteAddr().String(); peer != vip {
			t.Errorf("getpeername after %s shows %s", vip, peer)
		}
		var b [256]byte
		for range 5 {
			if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Write([]byte("?")); err != nil {
				t.Fatal(err)
			}
			n, from, err := c.(*net.UDPConn).ReadFromUDPAddrPort(b[:])
			if err != nil || from.String() != vip {
				t.Errorf("%s: answer %q from %s, %v", vip, b[:n], from, err)
			}
		}
	}
}

func TestReconnectedUDP(t *testing.T) {
	cfg := testConfig(t)
	client, b := dnsMesh(t)
	client.serveUDP("127.0.0.9:99")
	d := openTest(t, cfg)
	mustSync(t, d, b.m)
	var err error
	client.do(func() { err = reconnectUDP() })
	if err != nil {
		t.Error(err)
	}
}

func reconnectUDP() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		return err
	}
	for _, to := range []*unix.SockaddrInet4{inet4("10.96.0.1", 53), inet4("10.96.0.2", 53), inet4("127.0.0.9", 99), inet4("10.96.0.1", 53)} {
		if err := unix.Connect(fd, to); err != nil {
			return err
		}
		peer, err := unix.Getpeername(fd)
		if err != nil || !sameInet4(peer, to) {
			return fmt.Errorf("getpeername after %v shows %v: %w", to, peer, err)
		}
		if err := unix.Send(fd, []byte("?"), 0); err != nil {
			return err
		}
		var b [256]byte
		_, from, err := unix.Recvfrom(fd, b[:], 0)
		if err != nil {
			return err
		}
		if !sameInet4(from, to) {
			return fmt.Errorf("answer of %v came from %v", to, from)
		}
	}
	return nil
}

// TestDisconnectedUDP: what a socket was connected to does not colour later
// answers.
func TestDisconnectedUDP(t *testing.T) {
	cfg := testConfig(t)
	client := newPod(t)
	client.serveUDP("127.0.0.2:53")
	b := newMesh().workload(client.workload("shop", "client")).backend("dns", 53, model.UDP, "127.0.0.2:53")
	b.front("dns", 53, model.UDP, addrs("10.96.0.1", "10.96.0.2"))
	mustSync(t, openTest(t, cfg), b.m)
	var err error
	client.do(func() {
		err = udpSocket(func(fd int) error {
			if err := errors.Join(unix.Connect(fd, inet4("10.96.0.1", 53)), disconnect(fd)); err != nil {
				return err
			}
			for _, to := range []*unix.SockaddrInet4{inet4("127.0.0.2", 53), inet4("10.96.0.2", 53)} {
				if err := errors.Join(unix.Sendto(fd, []byte("?"), 0, to), answerFrom(fd, to)); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		t.Error(err)
	}
}

// TestUDPBySendmmsg: many messages in one call, each with a source address of
// the sender's choice.
func TestUDPBySendmmsg(t *testing.T) {
	cfg := testConfig(t)
	client, b := dnsMesh(t)
	mustSync(t, openTest(t, cfg), b.m)
	to := []*unix.SockaddrInet4{inet4("10.96.0.1", 53), inet4("10.96.0.1", 53)}
	var err error
	client.do(func() {
		err = udpSocket(func(fd int) error {
			if err := sendmmsg(fd, to); err != nil {
				return err
			}
			return errors.Join(answerFrom(fd, to[0]), answerFrom(fd, to[1]))
		})
	})
	if err != nil {
		t.Error(err)
	}
}

func sendmmsg(fd int, to []*unix.SockaddrInet4) error {
	type message struct {
		header unix.Msghdr
		sent   uint32
	}
	payload := []byte("?")
	part := unix.Iovec{Base: &payload[0], Len: 1}
	source := unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: [4]byte{127, 0, 0, 99}})
	messages := make([]message, len(to))
	for i, sa := range to {
		name := unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: sa.Addr}
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&name.Port))[:], uint16(sa.Port))
		messages[i].header = unix.Msghdr{
			Name: (*byte)(unsafe.Pointer(&name)), Namelen: unix.SizeofSockaddrInet4,
			Iov: &part, Iovlen: 1, Control: &source[0], Controllen: uint64(len(source)),
		}
	}
	n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&messages[0])), uintptr(len(messages)), 0, 0, 0)
	if errno != 0 || int(n) != len(to) {
		return fmt.Errorf("sendmmsg: %d messages, %w", n, errno)
	}
	return nil
}

// udpSocket lends an unconnected socket.
func udpSocket(use func(fd int) error) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		return err
	}
	return use(fd)
}

func answerFrom(fd int, want *unix.SockaddrInet4) error {
	var b [256]byte
	_, from, err := unix.Recvfrom(fd, b[:], 0)
	if err != nil {
		return err
	}
	if !sameInet4(from, want) {
		return fmt.Errorf("the answer of %v came from %v", want, from)
	}
	return nil
}

// TestFloodOfFlows: a workload uses up all places for UDP flows. A flow of
// another that goes on stays where it is.
func TestFloodOfFlows(t *testing.T) {
	cfg := testConfig(t)
	victim, b := dnsMesh(t)
	attacker := newPod(t)
	attacker.serveUDP("127.0.0.2:53")
	b.workload(attacker.workload("shop", "attacker"))
	mustSync(t, openTest(t, cfg), b.m)
	c, err := victim.packetConn("10.96.0.1:53")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	first, _, err := exchange(c, "10.96.0.1:53")
	if err != nil {
		t.Fatal(err)
	}
	for range 60 { // 12,000 flows, where 4,096 fit
		attacker.do(func() {
			for range 200 {
				if err := udpSocket(func(fd int) error { return unix.Sendto(fd, []byte("?"), 0, inet4("10.96.0.1", 53)) }); err != nil {
					t.Error(err)
				}
			}
		})
		if got, from, err := exchange(c, "10.96.0.1:53"); got != first || from != "10.96.0.1:53" || err != nil {
			t.Fatalf("the flow of %s: %q from %s, %v", first, got, from, err)
		}
	}
}

func sameInet4(a unix.Sockaddr, b *unix.SockaddrInet4) bool {
	have, ok := a.(*unix.SockaddrInet4)
	return ok && have.Addr == b.Addr && have.Port == b.Port
}

// TestUDPErrorsArePassedOn: nobody listens at the endpoint, and the client is
// told as it would be without us.
func TestUDPErrorsArePassedOn(t *testing.T) {
	cfg := testConfig(t)
	client := newPod(t)
	b := newMesh().workload(client.workload("shop", "client")).backend("dns", 53, model.UDP, "127.0.0.8:53")
	b.front("dns", 53, model.UDP, addrs("10.96.0.1"))
	d := openTest(t, cfg)
	mustSync(t, d, b.m)
	c, err := client.dial("udp", "10.96.0.1:53")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("?")); err != nil {
		t.Fatal(err)
	}
	var b1 [1]byte
	if _, err := c.Read(b1[:]); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("read: %v", err)
	}
}
