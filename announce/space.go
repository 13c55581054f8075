package announce

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"

	"golang.org/x/sys/unix"

	"sluice.io/sluice/netns"
)

// space is the network namespace in which addresses are announced.
type space struct {
	*netns.Namespace
	// raw sends whole frames, on any interface of the namespace; -1 until there
	// are any to send.
	raw int
}

// openSpace opens the calling thread's network namespace.
func openSpace() (*space, error) {
	here, err := netns.Here()
	if err != nil {
		return nil, err
	}
	return &space{Namespace: here, raw: -1}, nil
}

// Close gives up the handles.
func (s *space) Close() error {
	if s.raw >= 0 {
		return errors.Join(unix.Close(s.raw), s.Namespace.Close())
	}
	return s.Namespace.Close()
}

// do runs f in the namespace, on the calling thread if that is in it already,
// as the threads of a node's agent are.
func (s *space) do(f func() error) error {
	runtime.LockOSThread()
	here, err := netns.Here()
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer here.Close()
	if here.Inode == s.Inode {
		defer runtime.UnlockOSThread()
		return f()
	}
	runtime.UnlockOSThread()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends here
		if err := unix.Setns(int(s.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter the node's network namespace: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}

// announce tells the neighbours on an interface that an address is there. It is
// called in the namespace.
func (s *space) announce(up uplink, addr netip.Addr) error {
	if up.mac == nil {
		return nil // there are none
	}
	if s.raw < 0 {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open a socket for frames (CAP_NET_RAW is needed): %w", err)
		}
		s.raw = fd
	}
	for _, frame := range framesFor(up.mac, addr) {
		to := &unix.SockaddrLinklayer{Ifindex: up.index, Halen: 6}
		copy(to.Addr[:], frame[:6])
		if err := unix.Sendto(s.raw, frame, 0, to); err != nil && !errors.Is(err, unix.ENETDOWN) {
			return fmt.Errorf("send on %s: %w", up.name, err)
		}
	}
	return nil
}
