package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// facts are what sockets in a network namespace tell of it.
type facts struct {
	cookie uint64
	// up tells that the loopback is.
	up bool
	// v4 and v6 are what it is like on 127.0.0.1 and ::1.
	v4, v6 place
}

// place is what it is like on one loopback address, at the port that is asked
// for.
type place struct {
	// there tells that the address is: it can be bound.
	there bool
	// served tells that whoever is to listen at the port does.
	served bool
	// taken is why nobody can listen there; nil if one can.
	taken error
}

// door is a port on the loopback, and the cgroup of who is to listen there.
type door struct {
	port   uint16
	cgroup uint64
}

// probes are sockets of a network namespace by which one asks about it.
type probes struct{ v4, v6, tcp4, tcp6, diag int }

// inspect reads the kernel's cookie of a network namespace, and how its loopback
// is: one is told of a socket only, and a socket belongs to the namespace in which
// it was made.
func inspect(netns *os.File, d door) (facts, error) {
	type answer struct {
		probes probes
		err    error
	}
	done := make(chan answer)
	go func() {
		var a answer
		a.probes, a.err = visit(netns)
		done <- a
	}()
	a := <-done
	defer a.probes.close()
	var f facts
	if a.err == nil {
		f, a.err = a.probes.ask(d)
	}
	if a.err != nil {
		return facts{}, fmt.Errorf("read the cookie of %s: %w", netns.Name(), a.err)
	}
	return f, nil
}

// visit enters a network namespace on a thread of its own, to make sockets there.
// A thread that cannot come back stays locked, and ends with its goroutine.
func visit(netns *os.File) (probes, error) {
	runtime.LockOSThread()
	none := probes{-1, -1, -1, -1, -1}
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return none, err
	}
	defer home.Close()
	if err := unix.Setns(int(netns.Fd()), unix.CLONE_NEWNET); err != nil {
		return none, fmt.Errorf("enter the network namespace: %w", err)
	}
	p, err := newProbes()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back == nil {
		runtime.UnlockOSThread()
	}
	return p, err
}

// newProbes makes the sockets. Those of IPv6 may be missing, and that which tells
// who listens.
func newProbes() (probes, error) {
	p := probes{-1, -1, -1, -1, -1}
	for _, s := range []struct {
		to                     *int
		domain, kind, protocol int
		needed                 bool
	}{
		{&p.v4, unix.AF_INET, unix.SOCK_DGRAM, 0, true},
		{&p.v6, unix.AF_INET6, unix.SOCK_DGRAM, 0, false},
		{&p.tcp4, unix.AF_INET, unix.SOCK_STREAM, 0, true},
		{&p.tcp6, unix.AF_INET6, unix.SOCK_STREAM, 0, false},
		{&p.diag, unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_SOCK_DIAG, false},
	} {
		fd, err := unix.Socket(s.domain, s.kind|unix.SOCK_CLOEXEC, s.protocol)
		if err == nil {
			*s.to = fd
		} else if s.needed {
			return p, err
		}
	}
	return p, nil
}

func (p probes) close() {
	for _, fd := range []int{p.v4, p.v6, p.tcp4, p.tcp6, p.diag} {
		if fd > 0 {
			unix.Close(fd)
		}
	}
}

var (
	loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	loopback6 = netip.IPv6Loopback()
)

func (p probes) ask(d door) (f facts, err error) {
	if f.cookie, err = unix.GetsockoptUint64(p.v4, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE); err != nil {
		return f, err
	}
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return f, err
	}
	f.up = unix.IoctlIfreq(p.v4, unix.SIOCGIFFLAGS, lo) == nil && lo.Uint16()&unix.IFF_UP != 0
	f.v4.there = unix.Bind(p.v4, &unix.SockaddrInet4{Addr: loopback4.As4()}) == nil
	f.v6.there = p.v6 >= 0 && unix.Bind(p.v6, &unix.SockaddrInet6{Addr: loopback6.As16()}) == nil
	if d.port != 0 && f.up {
		p.knock(d, &f)
	}
	return f, nil
}

// knock looks who is at the port.
func (p probes) knock(d door, f *facts) {
	all, _ := listeners(p.diag, d.port, tcpListen) // if nobody can tell, one finds out by binding
	f.v4.knock(d, loopback4, all)
	f.v6.knock(d, loopback6, all)
	v4 := p.open(&f.v4, p.tcp4, &unix.SockaddrInet4{Port: int(d.port), Addr: loopback4.As4()})
	v6 := p.open(&f.v6, p.tcp6, &unix.SockaddrInet6{Port: int(d.port), Addr: loopback6.As16()})
	if v4 && v6 {
		return
	}
	// Whether anybody bound it before it was kept, the kernel has to say.
	bound, _ := listeners(p.diag, d.port, tcpBound)
	f.v4.hold(d, loopback4, bound)
	f.v6.hold(d, loopback6, bound)
}

// open tries to bind an address that nobody listens at, as the one who is to listen
// there would, for a moment. It is false where one may not, since the port is
// kept for that one.
func (p probes) open(at *place, fd int, sa unix.Sockaddr) bool {
	if !at.there || at.served || at.taken != nil || unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) != nil {
		return true
	}
	err := unix.Bind(fd, sa)
	if errors.Is(err, unix.EADDRINUSE) {
		at.taken = errBound
	}
	return !errors.Is(err, unix.EPERM)
}

var errBound = errors.New("a program has bound it")

// hold notes that another program has bound the port.
func (p *place) hold(d door, at netip.Addr, bound []listener) {
	for _, l := range bound {
		if p.there && !p.served && p.taken == nil && l.on(at) && l.cgroup != d.cgroup {
			p.taken = errBound
		}
	}
}

func (p *place) knock(d door, at netip.Addr, all []listener) {
	for _, l := range all {
		switch {
		case !p.there || !l.on(at):
		case l.cgroup == d.cgroup:
			p.served = true
		default:
			p.taken = fmt.Errorf("a program of uid %d listens there, at %s", l.uid, l.addr)
		}
	}
}
