package netns

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// cookie reads the kernel's cookie of a network namespace: it is told of a
// socket only, and a socket belongs to the namespace in which it was made.
func cookie(netns *os.File) (uint64, error) {
	type answer struct {
		cookie uint64
		err    error
	}
	done := make(chan answer)
	go func() {
		var a answer
		a.cookie, a.err = visit(netns)
		done <- a
	}()
	a := <-done
	if a.err != nil {
		return 0, fmt.Errorf("read the cookie of %s: %w", netns.Name(), a.err)
	}
	return a.cookie, nil
}

// visit enters a network namespace on a thread of its own. A thread that cannot
// come back stays locked, and ends with its goroutine.
func visit(netns *os.File) (uint64, error) {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return 0, err
	}
	defer home.Close()
	if err := unix.Setns(int(netns.Fd()), unix.CLONE_NEWNET); err != nil {
		return 0, fmt.Errorf("enter the network namespace: %w", err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back == nil {
		runtime.UnlockOSThread()
	}
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	return unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
}
