package netns

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// facts are what a socket in a network namespace tells of it.
type facts struct {
	cookie uint64
	// loopback tells that lo is up and has its addresses, without which Envoy cannot
	// listen there.
	loopback bool
}

// inspect reads the kernel's cookie of a network namespace: it is told of a
// socket only, and a socket belongs to the namespace in which it was made.
func inspect(netns *os.File) (facts, error) {
	type answer struct {
		facts facts
		err   error
	}
	done := make(chan answer)
	go func() {
		var a answer
		a.facts, a.err = visit(netns)
		done <- a
	}()
	a := <-done
	if a.err != nil {
		return facts{}, fmt.Errorf("read the cookie of %s: %w", netns.Name(), a.err)
	}
	return a.facts, nil
}

// visit enters a network namespace on a thread of its own. A thread that cannot
// come back stays locked, and ends with its goroutine.
func visit(netns *os.File) (facts, error) {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return facts{}, err
	}
	defer home.Close()
	if err := unix.Setns(int(netns.Fd()), unix.CLONE_NEWNET); err != nil {
		return facts{}, fmt.Errorf("enter the network namespace: %w", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	fd6, err6 := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back == nil {
		runtime.UnlockOSThread()
	}
	if err6 == nil {
		defer unix.Close(fd6)
	}
	if err != nil {
		return facts{}, err
	}
	defer unix.Close(fd)
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	return facts{cookie: cookie, loopback: err6 == nil && loopbackUp(fd, fd6)}, err
}

// loopbackUp asks through sockets of both families, in whose network namespace the
// answer is.
func loopbackUp(fd, fd6 int) bool {
	lo, err := unix.NewIfreq("lo")
	if err != nil || unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, lo) != nil {
		return false
	}
	return lo.Uint16()&unix.IFF_UP != 0 &&
		unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}) == nil &&
		unix.Bind(fd6, &unix.SockaddrInet6{Addr: [16]byte{15: 1}}) == nil
}
