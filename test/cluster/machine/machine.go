// Package machine makes machines out of namespaces and talks to them. A machine
// has network, mount, pid, uts, ipc and cgroup namespaces of its own; its first
// process, built from init, ends with everything in the machine when it is killed.
//
// The package owns the boot of a machine and the few things its first process is
// asked for. It must not know what the machines run.
package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Files in a machine's folder.
const (
	specFile   = "machine.json"
	socketFile = "machine.sock"
	pidFile    = "machine.pid"
	rootDir    = "root" // What the machine has instead of the host's folders.
)

// Spec is what the first process needs to make its machine.
type Spec struct {
	Hostname string
	Dir      string            // The machine's folder, of the host.
	Netns    string            // The path of its network namespace.
	Cgroups  []string          // Its folder in each cgroup hierarchy; they exist.
	Layered  []string          // Folders of the host that the machine sees and writes to for itself.
	Private  []string          // Folders that the machine has for itself. Like what it writes, they outlive its processes.
	Shown    map[string]string // Files of /proc/sys, and what the machine sees there; writes don't reach the host.
}

// Process is a process that runs until it is stopped.
type Process struct {
	Name string
	Args []string // Args[0] is a path.
	Log  string   // What it prints is appended to this file.
}

// State is a process that was started.
type State struct {
	Name    string
	Running bool
	Exit    string // How it ended.
}

// A Machine is one that was booted from the folder.
type Machine struct{ Dir string }

// Boot makes the machine and returns when its first process answers. binary is
// the program of the first process.
func Boot(ctx context.Context, binary string, spec Spec) (*Machine, error) {
	m := &Machine{spec.Dir}
	if err := os.MkdirAll(filepath.Join(spec.Dir, rootDir), 0o755); err != nil {
		return nil, err
	}
	b, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(spec.Dir, specFile)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, binary, "boot", path)
	// A session of its own: an interrupt at the terminal is for the caller alone.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("boot %s: %s", spec.Hostname, failure(err))
	}
	pid := strings.TrimSpace(string(out))
	if _, err := strconv.Atoi(pid); err != nil {
		return nil, fmt.Errorf("boot %s: no pid in %q", spec.Hostname, out)
	}
	return m, os.WriteFile(filepath.Join(spec.Dir, pidFile), []byte(pid), 0o600)
}

// failure is what a program printed before it failed, or how it failed.
func failure(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return strings.TrimSpace(string(exit.Stderr))
	}
	return err.Error()
}

// PID is the host's number of the machine's first process.
func (m *Machine) PID(ctx context.Context) (int, error) {
	if _, err := m.Status(ctx); err != nil {
		return 0, err // The number may be another's by now.
	}
	b, err := os.ReadFile(filepath.Join(m.Dir, pidFile))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(b))
}

// Start starts a process; one of that name that runs already is left alone.
func (m *Machine) Start(ctx context.Context, p Process) error {
	_, err := m.ask(ctx, Request{Start: &p})
	return err
}

// Stop sends a signal to a process and waits for its end.
func (m *Machine) Stop(ctx context.Context, name string, sig syscall.Signal) error {
	_, err := m.ask(ctx, Request{Stop: &Stop{name, int(sig)}})
	return err
}

// Run runs a program to its end and returns what it printed.
func (m *Machine) Run(ctx context.Context, args ...string) (string, error) {
	r, err := m.ask(ctx, Request{Run: args})
	return r.Output, err
}

// Status lists the processes that were started, in order.
func (m *Machine) Status(ctx context.Context) ([]State, error) {
	r, err := m.ask(ctx, Request{})
	return r.Processes, err
}

// Request is a question to the first process: what it says first, or the status.
type Request struct {
	Start *Process `json:",omitempty"`
	Stop  *Stop    `json:",omitempty"`
	Run   []string `json:",omitempty"`
}

// Stop asks for the end of a process.
type Stop struct {
	Name   string
	Signal int
}

// Response is the answer.
type Response struct {
	Error     string  `json:",omitempty"`
	Output    string  `json:",omitempty"`
	Processes []State `json:",omitempty"`
}

// Socket is where the first process answers.
func Socket(dir string) string { return filepath.Join(dir, socketFile) }

// Root is the folder of what a machine has instead of the host's folders.
func Root(dir string) string { return filepath.Join(dir, rootDir) }

func (m *Machine) ask(ctx context.Context, q Request) (Response, error) {
	var r Response
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", Socket(m.Dir))
	if err != nil {
		return r, fmt.Errorf("machine %s does not run: %w", filepath.Base(m.Dir), err)
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := json.NewEncoder(conn).Encode(q); err != nil {
		return r, fmt.Errorf("machine %s: %w", filepath.Base(m.Dir), err)
	}
	if err := json.NewDecoder(conn).Decode(&r); err != nil {
		return r, fmt.Errorf("machine %s: %w", filepath.Base(m.Dir), errors.Join(ctx.Err(), err))
	}
	if r.Error != "" {
		return r, fmt.Errorf("machine %s: %s", filepath.Base(m.Dir), r.Error)
	}
	return r, nil
}

// SignalOf returns the signal of a name such as TERM.
func SignalOf(name string) (syscall.Signal, error) {
	s := unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG"))
	if s == 0 {
		return 0, fmt.Errorf("%q is no signal", name)
	}
	return s, nil
}
