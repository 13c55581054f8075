package envoy

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// nodeCgroups is the cgroup namespace of the machine, for who sees its processes.
const nodeCgroups = "/proc/1/ns/cgroup"

// inNodeCgroups runs f where all cgroups of the machine can be entered. In a
// container, whose cgroup namespace is its own, a process may not be moved out of
// that where the hierarchy was mounted with nsdelegate, as systemd does: there it
// joins the machine's first, on a thread that ends with it.
func inNodeCgroups(f func() error) error {
	if _, err := os.Readlink(nodeCgroups); err != nil {
		return f() // not ours to see: then it is not known whether it matters
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // ends with the goroutine
		if err := enterCgroups(nodeCgroups); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

// enterCgroups joins a cgroup namespace, unless this thread is in it.
func enterCgroups(path string) error {
	want, err := os.Readlink(path)
	if err != nil {
		return fmt.Errorf("join the node's cgroup namespace: %w", err)
	}
	own, err := os.Readlink("/proc/thread-self/ns/cgroup")
	if err == nil && own == want {
		return nil
	}
	ns, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("join the node's cgroup namespace: %w", err)
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("join the node's cgroup namespace: %w", err)
	}
	return nil
}
