// Package namespaces makes network namespaces for tests, named as `ip netns` names
// them, and runs functions in them.
//
// It owns the mounts that name them, and the threads that enter them. It must not
// know what they are for.
package namespaces

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// Dir is where namespaces have their names.
const Dir = "/run/netns"

// New makes a namespace of that name, which nothing has, and returns its path.
func New(name string) (string, error) {
	if err := os.MkdirAll(Dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(Dir, name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return "", err
	}
	_ = f.Close()
	err = onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		return unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")
	})
	if err != nil {
		return "", errors.Join(fmt.Errorf("make network namespace %s: %w", name, err), os.Remove(path))
	}
	return path, nil
}

// Delete takes a namespace its name. The kernel keeps it for as long as something
// else holds it.
func Delete(path string) error {
	// EINVAL: the file is there, and the mount isn't yet, or no more.
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("unmount %s: %w", path, err)
	}
	return os.Remove(path)
}

// Do runs f on a thread of its own in the namespace at the path. Sockets and
// processes that f makes, other than in goroutines that it starts, belong there.
func Do(path string, f func() error) error {
	ns, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("enter network namespace: %w", err)
	}
	defer func() { _ = ns.Close() }()
	return onThread(func() error {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace %s: %w", path, err)
		}
		return f()
	})
}

// onThread runs f on a thread that ends with it, so that what f does to the thread
// touches nothing else.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // Never unlocked: the thread ends with the goroutine.
		done <- f()
	}()
	return <-done
}
