package announce

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// space is the network namespace in which addresses are announced.
type space struct {
	file  *os.File
	inode uint64
	// raw sends whole frames, on any interface of the namespace; -1 until there
	// are any to send.
	raw int
}

// openSpace opens the calling thread's network namespace.
func openSpace() (*space, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	f, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	s := &space{file: f, raw: -1}
	if s.inode, err = inodeOf(f); err != nil {
		f.Close()
		return nil, err
	}
	return s, nil
}

func inodeOf(f *os.File) (uint64, error) {
	var st unix.Stat_t
	err := unix.Fstat(int(f.Fd()), &st)
	return st.Ino, err
}

// Close gives up the handles.
func (s *space) Close() error {
	if s.raw >= 0 {
		return errors.Join(unix.Close(s.raw), s.file.Close())
	}
	return s.file.Close()
}

// do runs f in the namespace, on the calling thread if that is in it already,
// as the threads of a node's agent are.
func (s *space) do(f func() error) error {
	runtime.LockOSThread()
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer here.Close()
	if inode, err := inodeOf(here); err == nil && inode == s.inode {
		defer runtime.UnlockOSThread()
		return f()
	}
	runtime.UnlockOSThread()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends here
		if err := unix.Setns(int(s.file.Fd()), unix.CLONE_NEWNET); err != nil {
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
