package envoy

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a running Envoy, held by a file descriptor that stays its own when
// its pid is used again.
type process struct {
	record
	fd int
}

// start runs Envoy as one more epoch, in a session and cgroup of its own. The
// folder has been prepared.
func (c Config) start(s spec, epoch int, version string) (*process, error) {
	log, err := os.OpenFile(c.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open Envoy's log: %w", err)
	}
	defer log.Close()
	p := &process{fd: -1}
	cmd := exec.Command(c.Binary, append(s.args, "--restart-epoch", strconv.Itoa(epoch))...)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:      true,
		Credential:  &syscall.Credential{Uid: uint32(c.UID), Gid: uint32(c.GID)},
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN},
		PidFD:       &p.fd,
	}
	if c.Cgroup != "" {
		dir, err := os.Open(c.Cgroup)
		if err != nil {
			return nil, fmt.Errorf("open Envoy's cgroup: %w", err)
		}
		defer dir.Close()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start Envoy: %w", err)
	}
	p.record = record{PID: cmd.Process.Pid, Epoch: epoch, Spec: s.id, Version: version}
	return p, errors.Join(c.settle(p), cmd.Process.Release())
}

// settle raises the limits of a process that was just started, and records it.
func (c Config) settle(p *process) error {
	limit := &unix.Rlimit{Cur: c.MaxFiles, Max: c.MaxFiles}
	if err := unix.Prlimit(p.PID, unix.RLIMIT_NOFILE, limit, nil); err != nil {
		c.Log.Warn("cannot raise Envoy's limit of open files", "limit", c.MaxFiles, "error", err)
	}
	start, err := startTime(p.PID)
	if err != nil {
		return fmt.Errorf("look at the Envoy that was started: %w", err)
	}
	p.StartTime = start
	return c.write(p.record)
}

// prepare makes the folder and the bootstrap file, which Envoy's user can read,
// and the cgroup.
func (c Config) prepare(s spec) error {
	if c.Cgroup != "" {
		if err := os.MkdirAll(c.Cgroup, 0o755); err != nil {
			return fmt.Errorf("make Envoy's cgroup: %w", err)
		}
	}
	if err := os.MkdirAll(c.Dir, 0o750); err != nil {
		return fmt.Errorf("make Envoy's folder: %w", err)
	}
	if err := errors.Join(os.Chown(c.Dir, c.UID, c.GID), os.Chmod(c.Dir, 0o750)); err != nil {
		return fmt.Errorf("give Envoy's folder to uid %d: %w", c.UID, err)
	}
	return replace(c.bootstrapFile(), s.bootstrap, 0o644)
}

// replace writes a file whole, or not at all.
func replace(path string, data []byte, mode os.FileMode) error {
	next := path + ".next"
	if err := os.WriteFile(next, data, mode); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	if err := os.Rename(next, path); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return nil
}

// exited waits for the process to end, for some time at most.
func (p *process) exited(within time.Duration) bool {
	fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, int(within.Milliseconds()))
	return err == nil && n > 0
}

// reap closes the descriptor of a process that has ended, and says how it ended
// when it is this process's child.
func (p *process) reap() string {
	var status unix.WaitStatus
	pid, err := unix.Wait4(p.PID, &status, unix.WNOHANG, nil)
	p.close()
	switch {
	case err != nil || pid != p.PID:
		return "ended"
	case status.Signaled():
		return "killed by " + status.Signal().String()
	default:
		return fmt.Sprintf("exit status %d", status.ExitStatus())
	}
}

func (p *process) close() {
	if p.fd >= 0 {
		unix.Close(p.fd)
		p.fd = -1
	}
}

func (p *process) signal(sig unix.Signal) error {
	return unix.PidfdSendSignal(p.fd, sig, nil, 0)
}
