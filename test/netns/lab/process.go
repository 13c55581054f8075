package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"sluice.io/sluice/test/namespaces"
)

// Process is a process of the lab. What it prints goes to a file, not a pipe:
// its own children may outlive it.
type Process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error
}

// place is where a process runs: a network namespace and a cgroup.
type place struct {
	netns  string
	cgroup string
}

// command prepares a process for its place; the returned start does start it.
func (pl place) command(ctx context.Context, args []string) (cmd *exec.Cmd, start func() error) {
	cmd = exec.CommandContext(ctx, args[0], args[1:]...)
	return cmd, func() error {
		cg, err := os.Open(pl.cgroup)
		if err != nil {
			return err
		}
		defer func() { _ = cg.Close() }()
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(cg.Fd()), Setpgid: true}
		return namespaces.Do(pl.netns, cmd.Start)
	}
}

// run runs a process to its end and returns what it printed on its standard output.
func (pl place) run(ctx context.Context, stdin string, args []string) (string, error) {
	cmd, start := pl.command(ctx, args)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if stdin != "" {
		cmd.Stdin = strings.NewReader(stdin)
	}
	if err := start(); err != nil {
		return "", fmt.Errorf("start %s: %w", args[0], err)
	}
	if err := cmd.Wait(); err != nil {
		return out.String(), fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, errOut.String())
	}
	return out.String(), nil
}

// spawn starts a process that runs until it is stopped, and appends what it
// prints to a file.
func (pl place) spawn(env []string, log string, args []string) (*Process, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	cmd, start := pl.command(context.Background(), args)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = f, f
	if err := start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	p := &Process{cmd: cmd, log: log, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// ready waits for the process to print "ready".
func (p *Process) ready() error {
	return Poll(20*time.Second, func() error {
		select {
		case <-p.done:
			return Permanent(fmt.Errorf("%s ended before it was ready: %w\n%s", p.cmd.Path, p.err, p.Output()))
		default:
		}
		if strings.HasPrefix(p.Output(), "ready\n") {
			return nil
		}
		return fmt.Errorf("%s is not ready\n%s", p.cmd.Path, p.Output())
	})
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Output is all that the process has printed so far.
func (p *Process) Output() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends a signal to the process and waits for its end.
func (p *Process) Signal(sig syscall.Signal, wait time.Duration) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(wait):
		return fmt.Errorf("process %d still runs %s after %s", p.PID(), wait, sig)
	}
}

// Kill sends SIGKILL to the process and waits for its end.
func (p *Process) Kill() error { return p.Signal(syscall.SIGKILL, 10*time.Second) }
