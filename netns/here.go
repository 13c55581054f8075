package netns

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Namespace is a network namespace that is held open.
type Namespace struct {
	*os.File
	// Inode tells it from others, as long as it is held.
	Inode uint64
}

// Here opens the network namespace of the calling thread: the node's, when that is
// one of the agent's.
func Here() (*Namespace, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	f, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("open this thread's network namespace: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		f.Close()
		return nil, fmt.Errorf("look at this thread's network namespace: %w", err)
	}
	return &Namespace{File: f, Inode: st.Ino}, nil
}
