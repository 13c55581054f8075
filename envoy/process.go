package envoy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
	// hot is where its successor finds it, empty for Envoy's default. It is not part
	// of the spec: one that was started elsewhere is not out of date.
	hot string
}

// start runs Envoy as one more epoch, in a session and cgroup of its own, so
// that it outlives this process. The folder has been prepared; hot is where the
// epochs find each other.
func (c Config) start(s spec, epoch int, version, hot string) (*process, error) {
	log, err := os.OpenFile(c.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open Envoy's log: %w", err)
	}
	defer log.Close()
	var cgroup *os.File
	if c.Cgroup != "" {
		if cgroup, err = os.Open(c.Cgroup); err != nil {
			return nil, fmt.Errorf("open Envoy's cgroup: %w", err)
		}
		defer cgroup.Close()
	}
	c.raiseLimit()
	args := append(slices.Clone(s.args), "--restart-epoch", strconv.Itoa(epoch))
	if hot != "" {
		args = append(args, hotFlag, hot, "--socket-mode", "600")
	}
	pid, err := detach(launch{Path: c.Binary, Args: args, UID: c.UID, GID: c.GID}, log, cgroup)
	if err != nil {
		return nil, err
	}
	p, err := c.settle(record{PID: pid, Epoch: epoch, Spec: s.id, Version: version})
	if err != nil {
		return nil, err
	}
	p.hot = hot
	return p, nil
}

const hotFlag = "--socket-path"

// raiseLimit raises this process's limit of open files, for Envoy to inherit:
// as root of another user's process one may not, without CAP_SYS_RESOURCE.
func (c Config) raiseLimit() {
	want := syscall.Rlimit{Cur: c.MaxFiles, Max: c.MaxFiles}
	err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want)
	if err == nil {
		return
	}
	var have syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &have) == nil {
		have.Cur = have.Max
		err = errors.Join(err, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &have))
	}
	c.Log.Warn("cannot raise the limit of open files for Envoy", "wanted", c.MaxFiles, "got", have.Cur, "error", err,
		"hint", "raise it for sluice itself, such as by LimitNOFILE in its systemd unit: each connection through Envoy takes two")
}

// settle holds a process that was just started, and records it.
func (c Config) settle(r record) (*process, error) {
	fd, err := unix.PidfdOpen(r.PID, 0)
	if err != nil {
		return nil, fmt.Errorf("start Envoy: it ended at once: %s", c.lastWords())
	}
	p := &process{record: r, fd: fd}
	if p.StartTime, err = startTime(p.PID); err != nil {
		p.close()
		return nil, fmt.Errorf("start Envoy: it ended at once: %s", c.lastWords())
	}
	if err := c.write(p.record); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
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
	if err := give(c.Dir, 0o750, c.UID, c.GID); err != nil {
		return fmt.Errorf("give Envoy's folder to uid %d: %w", c.UID, err)
	}
	if err := c.ownMemory(); err != nil {
		return err
	}
	return replace(c.bootstrapFile(), s.bootstrap, 0o644)
}

// give makes a folder another user's. Without the capability CAP_FOWNER one may
// not change what is another's already, so it changes what is wrong only.
func give(dir string, mode os.FileMode, uid, gid int) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if info.Mode().Perm() != mode {
		if err := os.Chmod(dir, mode); err != nil {
			return err
		}
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) == uid && int(st.Gid) == gid {
		return nil
	}
	return os.Chown(dir, uid, gid)
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
