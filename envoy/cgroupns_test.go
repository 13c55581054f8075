package envoy

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestJoinsTheNodesCgroups: a process that is started from within another cgroup
// namespace is in the machine's.
func TestJoinsTheNodesCgroups(t *testing.T) {
	if testing.Short() {
		t.Skip("needs root")
	}
	file, err := os.Open("/proc/thread-self/ns/cgroup") // a thread's path would follow it
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	home := fmt.Sprintf("/proc/self/fd/%d", file.Fd())
	want, err := os.Readlink(home)
	if err != nil {
		t.Fatal(err)
	}
	var other, child string
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
			done <- err
			return
		}
		other, _ = os.Readlink("/proc/thread-self/ns/cgroup")
		if err := enterCgroups(home); err != nil {
			done <- err
			return
		}
		out, err := exec.Command("readlink", "/proc/self/ns/cgroup").Output()
		child = strings.TrimSpace(string(out))
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if other == want {
		t.Fatal("there was nothing to leave")
	}
	if child != want {
		t.Errorf("the process is in %s, want %s", child, want)
	}
}

// TestRunsInTheNodesCgroups: who is there already stays.
func TestRunsInTheNodesCgroups(t *testing.T) {
	ran := false
	if err := inNodeCgroups(func() error { ran = true; return nil }); err != nil || !ran {
		t.Errorf("ran %v: %v", ran, err)
	}
}
