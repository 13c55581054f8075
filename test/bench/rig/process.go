package rig

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a program that runs in a cell.
type Process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	log    string
	done   chan struct{}
	err    error
}

// Start starts a program in a network namespace and in a cgroup below the
// cell's (made when needed). Its standard error goes to a file in the cell's
// directory; its standard input and output are pipes.
func (c *Cell) Start(ns, cgroup, program string, args ...string) (*Process, error) {
	dir := filepath.Join(c.Cgroup, cgroup)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make cgroup: %w", err)
	}
	group, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open cgroup: %w", err)
	}
	defer func() { _ = group.Close() }()
	stderr, err := os.CreateTemp(c.Dir, filepath.Base(program)+"-*.log")
	if err != nil {
		return nil, fmt.Errorf("make log file: %w", err)
	}
	defer func() { _ = stderr.Close() }()

	p := &Process{cmd: exec.Command(program, args...), log: stderr.Name(), done: make(chan struct{})}
	p.cmd.Stderr = stderr
	// A group of its own: an interrupt at the terminal must not reach it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, UseCgroupFD: true, CgroupFD: int(group.Fd())}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, stdout, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	p.cmd.Stdout = stdout
	p.stdout = bufio.NewReader(out)
	err = inNetns(ns, p.cmd.Start)
	_ = stdout.Close() // the process has its own
	if err != nil {
		_ = out.Close()
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// inNetns calls f on a thread of its own that has entered a network namespace.
func inNetns(ns string, f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		result <- func() error {
			fd, err := unix.Open(NetnsPath(ns), unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return fmt.Errorf("open network namespace %s: %w", ns, err)
			}
			defer func() { _ = unix.Close(fd) }()
			if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("enter network namespace %s: %w", ns, err)
			}
			return f()
		}()
	}()
	return <-result
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Say writes one line to the process.
func (p *Process) Say(line string) error {
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		return p.failure("write to", err)
	}
	return nil
}

// Line reads one line from the process.
func (p *Process) Line() (string, error) {
	line, err := p.stdout.ReadString('\n')
	if err != nil {
		return "", p.failure("read from", err)
	}
	return strings.TrimSpace(line), nil
}

// Await reads lines until one is want.
func (p *Process) Await(want string) error {
	for {
		line, err := p.Line()
		if err != nil {
			return err
		}
		if line == want {
			return nil
		}
	}
}

// Drop throws away what the process prints from now on.
func (p *Process) Drop() { go io.Copy(io.Discard, p.stdout) } //nolint:errcheck // ends with the process

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Log returns the end of what the process wrote to its standard error.
func (p *Process) Log() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	const most = 4000
	if len(text) > most {
		text = text[len(text)-most:]
	}
	return strings.TrimSpace(string(text))
}

func (p *Process) failure(action string, err error) error {
	return fmt.Errorf("%s %s: %w: %s", action, filepath.Base(p.cmd.Path), err, p.Log())
}

// Stop ends the process, politely first, and waits for it.
func (p *Process) Stop() error {
	_ = p.stdin.Close() // may have ended already
	for _, sig := range []os.Signal{unix.SIGTERM, unix.SIGKILL} {
		if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return p.failure("stop", err)
		}
		select {
		case <-p.done:
			return nil
		case <-time.After(10 * time.Second):
		}
	}
	return p.failure("stop", errors.New("it does not end"))
}

// Finish closes the process's standard input and waits until it ends by itself.
func (p *Process) Finish() error {
	_ = p.stdin.Close() // may have ended already
	<-p.done
	if p.err != nil {
		return p.failure("run", p.err)
	}
	return nil
}
