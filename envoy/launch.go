package envoy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Envoy asks the kernel to end it when its parent dies, so that it never
// outlives whoever started it. Ours has to. So its parent must be gone before it
// begins: this binary is run as a launcher, which starts itself once more as a
// waiter and ends at once; the waiter sees that it has been orphaned, gives its
// privileges up, and becomes Envoy.
const (
	launcher = "sluice-launch-envoy"
	waiter   = "sluice-become-envoy"
)

// launch is what launcher and waiter are told.
type launch struct {
	Path     string   `json:"path"`
	Args     []string `json:"args"`
	UID, GID int
	Parent   int `json:"parent,omitempty"`
}

// init takes the process over when it was started as one of the two; nothing of
// the program that this package is linked into has run by then.
func init() {
	switch os.Args[0] {
	case launcher:
		exitOn(runLauncher(os.Args[1]))
	case waiter:
		exitOn(runWaiter(os.Args[1]))
	}
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// detach starts a command that outlives this process, and returns its pid.
// Output goes to log; cgroup is that of the new process, nil for the caller's.
func detach(l launch, log, cgroup *os.File) (int, error) {
	told, err := json.Marshal(l)
	if err != nil {
		return 0, fmt.Errorf("launch Envoy: %w", err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("launch Envoy: %w", err)
	}
	defer read.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{launcher, string(told)}
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{write}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if cgroup != nil {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(cgroup.Fd())
	}
	err = inNodeCgroups(cmd.Start)
	write.Close()
	if err != nil {
		return 0, fmt.Errorf("launch Envoy: %w", err)
	}
	said, readErr := io.ReadAll(read)
	if err := errors.Join(cmd.Wait(), readErr); err != nil {
		return 0, fmt.Errorf("launch Envoy: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(said)))
	if err != nil {
		return 0, fmt.Errorf("launch Envoy: the launcher says %q", said)
	}
	return pid, nil
}

// runLauncher starts the waiter, says its pid on descriptor 3, and ends.
func runLauncher(told string) error {
	var l launch
	if err := json.Unmarshal([]byte(told), &l); err != nil {
		return fmt.Errorf("launch Envoy: %w", err)
	}
	syscall.CloseOnExec(3) // whoever reads the pid waits until nobody can write
	l.Parent = os.Getpid()
	again, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("launch Envoy: %w", err)
	}
	node, err := os.Open("/proc/self/ns/net")
	if err != nil {
		return fmt.Errorf("launch Envoy: %w", err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{waiter, string(again)}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{node} // Envoy's descriptor 3: bootstrap.NodeNetns
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("launch Envoy: %w", err)
	}
	_, err = fmt.Fprintln(os.NewFile(3, "pid"), cmd.Process.Pid)
	return err
}

// runWaiter waits to be orphaned, and becomes Envoy.
func runWaiter(told string) error {
	var l launch
	if err := json.Unmarshal([]byte(told), &l); err != nil {
		return fmt.Errorf("become Envoy: %w", err)
	}
	for os.Getppid() == l.Parent {
		time.Sleep(100 * time.Microsecond)
	}
	runtime.LockOSThread() // credentials are the thread's, and so are Envoy's
	if err := giveUp(l.UID, l.GID); err != nil {
		return fmt.Errorf("become uid %d: %w", l.UID, err)
	}
	err := syscall.Exec(l.Path, append([]string{l.Path}, l.Args...), os.Environ())
	return fmt.Errorf("become Envoy: exec %s as uid %d: %w", l.Path, l.UID, err)
}

// kept are the capabilities that Envoy has: to enter network namespaces, which it
// cannot be without, and to bind the low ports of gateways' UDP listeners.
var kept = []int{unix.CAP_SYS_ADMIN, unix.CAP_NET_BIND_SERVICE}

// giveUp makes this thread another user's, with those of the kept capabilities
// that it has and no other, in a way that exec keeps.
func giveUp(uid, gid int) error {
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("keep capabilities: %w", err)
	}
	id := func(n int) uintptr { return uintptr(n) }
	for _, call := range [][4]uintptr{
		{unix.SYS_SETGROUPS, 0, 0, 0},
		{unix.SYS_SETRESGID, id(gid), id(gid), id(gid)},
		{unix.SYS_SETRESUID, id(uid), id(uid), id(uid)},
	} {
		if _, _, errno := unix.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
			return fmt.Errorf("change user and group: %w", errno)
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&header, &caps[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	bits := uint32(1 << unix.CAP_SYS_ADMIN)
	for _, c := range kept {
		bits |= caps[0].Permitted & (1 << c)
	}
	caps = [2]unix.CapUserData{{Effective: bits, Permitted: bits, Inheritable: bits}}
	if err := unix.Capset(&header, &caps[0]); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	for _, c := range kept {
		if bits&(1<<c) == 0 {
			continue
		}
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(c), 0, 0); err != nil {
			return fmt.Errorf("keep capability %d: %w", c, err)
		}
	}
	return nil
}
