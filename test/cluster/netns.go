package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

const netnsDir = "/run/netns"

// Place is a network namespace of the cluster: the control plane's, a node's, a pod's.
type Place struct {
	// Name says whose it is.
	Name string
	// Netns is a path of the namespace, good for as long as what it belongs to.
	Netns string
}

// Do runs f on a thread of its own in the place. Sockets and processes that f
// makes, other than in goroutines that it starts, belong there.
func (p Place) Do(f func() error) error {
	ns, err := os.Open(p.Netns)
	if err != nil {
		return fmt.Errorf("enter %s: %w", p.Name, err)
	}
	defer func() { _ = ns.Close() }()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // Never unlocked: the thread ends with the goroutine.
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter %s: %w", p.Name, err)
			return
		}
		done <- f()
	}()
	return <-done
}

// Start starts a program of the host in the place.
func (p Place) Start(cmd *exec.Cmd) error { return p.Do(cmd.Start) }

// Run runs a program of the host in the place, to its end, and returns what it
// printed on its standard output.
func (p Place) Run(ctx context.Context, args ...string) (string, error) {
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := p.Start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return out.String(), fmt.Errorf("%s: %s: %w\n%s", p.Name, strings.Join(args, " "), errors.Join(err, ctx.Err()), bytes.TrimSpace(errOut.Bytes()))
	}
	return out.String(), nil
}

// DialContext connects from the place. The address is one of IP and port.
func (p Place) DialContext(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	err = p.Do(func() error {
		var d net.Dialer
		conn, err = d.DialContext(ctx, network, addr)
		return err
	})
	return conn, err
}

// newNetns makes a named network namespace, as `ip netns` does.
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
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")
		}
		done <- err
	}()
	if err := <-done; err != nil {
		return "", errors.Join(fmt.Errorf("make network namespace %s: %w", name, err), os.Remove(path))
	}
	return path, nil
}

// removeNetns removes the network namespaces of a cluster.
func removeNetns(cluster string) error {
	paths, err := filepath.Glob(filepath.Join(netnsDir, cluster+"-*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range paths {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			errs = append(errs, fmt.Errorf("unmount %s: %w", path, err))
			continue
		}
		errs = append(errs, os.Remove(path))
	}
	return errors.Join(errs...)
}

// sysctls writes settings below /proc/sys/net of the place; those of features
// that the kernel lacks have no file, and need none.
func (p Place) sysctls(settings map[string]string) error {
	return p.Do(func() error {
		for name, value := range settings {
			err := os.WriteFile(filepath.Join("/proc/sys/net", name), []byte(value), 0)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%s: sysctl: %w", p.Name, err)
			}
		}
		return nil
	})
}
