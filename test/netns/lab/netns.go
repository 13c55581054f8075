package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// newNetns makes a network namespace that is named as `ip netns` names them,
// and returns its path.
func newNetns(name string) (string, error) {
	if err := os.MkdirAll(netnsDir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(netnsDir, name)
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
		_ = os.Remove(path)
		return "", fmt.Errorf("make network namespace %s: %w", name, err)
	}
	return path, nil
}

// deleteNetns removes a named network namespace; the kernel keeps it for as long
// as something else holds it.
func deleteNetns(path string) error {
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && err != unix.EINVAL { //nolint:errorlint // A bare errno.
		return fmt.Errorf("unmount %s: %w", path, err)
	}
	return os.Remove(path)
}

// inNetns runs f on a thread of its own inside a network namespace. Sockets and
// processes that f makes belong to it.
func inNetns(path string, f func() error) error {
	ns, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = ns.Close() }()
	return onThread(func() error {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter %s: %w", path, err)
		}
		return f()
	})
}

// onThread runs f on a thread that ends with it, so that what f does to the
// thread touches nothing else.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // Never unlocked: the thread ends with the goroutine.
		done <- f()
	}()
	return <-done
}

// sysctls writes settings below /proc/sys of a network namespace.
func sysctls(netns string, settings map[string]string) error {
	return inNetns(netns, func() error {
		for name, value := range settings {
			if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0); err != nil {
				return err
			}
		}
		return nil
	})
}
