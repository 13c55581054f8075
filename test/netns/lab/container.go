package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Container is a `sluice envoy` as in a container of Kubernetes: in a mount
// namespace of its own, with shared memory from the run folder.
type Container struct {
	*Process
	node *Node
}

// script prepares the mount namespace for the command that is its arguments.
const script = `mount --bind "$0/shm" /dev/shm && exec "$@"`

// StartContainer starts Envoy apart from `sluice run`, which runs without one;
// flags are those of `sluice envoy`. It does not wait.
func (n *Node) StartContainer(flags ...string) (*Container, error) {
	if err := n.shareRunDir(); err != nil {
		return nil, err
	}
	n.mu.Lock()
	n.files++
	log := filepath.Join(n.dir, fmt.Sprintf("envoy-%d.log", n.files))
	n.mu.Unlock()
	args := append([]string{
		"unshare", "-m", "--propagation", "slave", "sh", "-c", script, n.RunDir,
		n.Programs.Sluice, "envoy", "--run-dir", n.RunDir, "--cgroup-root", n.CgroupRoot, "--envoy", n.Programs.Envoy,
		"--envoy-concurrency", strconv.Itoa(cmp.Or(n.EnvoyWorkers, 2)),
	}, flags...)
	p, err := n.system().spawn([]string{"GORACE=halt_on_error=0"}, log, args)
	if err != nil {
		return nil, err
	}
	return &Container{p, n}, nil
}

// shareRunDir makes mounts in the run folder, such as those of pods' network
// namespaces, appear in containers that are there already.
func (n *Node) shareRunDir() error {
	if err := os.MkdirAll(filepath.Join(n.RunDir, "shm"), 0o755); err != nil {
		return err
	}
	mounted, err := mountsBelow(n.dir)
	if err != nil {
		return err
	}
	for _, m := range mounted {
		if m == n.RunDir {
			return nil
		}
	}
	if err := unix.Mount(n.RunDir, n.RunDir, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount the run folder: %w", err)
	}
	if err := unix.Mount("", n.RunDir, "", unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share the run folder's mounts: %w", err)
	}
	return nil
}

// Serves waits until the Envoy that serves is the container's.
func (c *Container) Serves(ctx context.Context) error {
	return Poll(60*time.Second, func() error {
		select {
		case <-c.Done():
			return Permanent(fmt.Errorf("`sluice envoy` ended: %w\n%s", c.err, c.Output()))
		default:
		}
		_, err := c.node.system().run(ctx, "", []string{
			"nsenter", "-t", strconv.Itoa(c.PID()), "-m",
			c.node.Programs.CLI, "envoy", "--check", "--run-dir", c.node.RunDir, "--cgroup-root", c.node.CgroupRoot, "--envoy", c.node.Programs.Envoy,
		})
		return err
	})
}

// Stop tells `sluice envoy` to end, without waiting for it.
func (c *Container) Stop() error { return c.cmd.Process.Signal(syscall.SIGTERM) }

// Ended waits for the end of `sluice envoy`, which must be an orderly one.
func (c *Container) Ended(within time.Duration) error {
	select {
	case <-c.done:
	case <-time.After(within):
		return fmt.Errorf("`sluice envoy` still runs after %s\n%s", within, c.Output())
	}
	if c.err != nil {
		return errors.Join(c.err, errors.New(c.Output()))
	}
	return nil
}
