package netns

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestHere: it is the calling thread's network namespace, not the process's.
func TestHere(t *testing.T) {
	needRoot(t)
	home, err := Here()
	if err != nil {
		t.Fatal(err)
	}
	defer home.Close()
	if own, err := stat(ownNetns); err != nil || own.ino != home.Inode {
		t.Errorf("inode %d, the process's is %d (%v)", home.Inode, own.ino, err)
	}
	path := netnsAdd(t, unique())
	want, err := stat(path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // the thread ends with the goroutine
		f, err := os.Open(path)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
			t.Error(err)
			return
		}
		there, err := Here()
		if err != nil {
			t.Error(err)
			return
		}
		defer there.Close()
		if there.Inode != want.ino {
			t.Errorf("inode %d on a thread in another network namespace, want %d", there.Inode, want.ino)
		}
	}()
	<-done
}
