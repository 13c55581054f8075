// Package product runs the subjects that are real programs: `sluice run`, and
// Envoys with a configuration written by hand.
//
// It knows how they are started and asked, and must not know what is measured.
package product

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sluice.io/sluice/test/bench/rig"
)

// Binaries are the programs under test.
type Binaries struct{ Sluice, Envoy string }

// Find looks for the binaries: $SLUICE or bin/sluice, $SLUICE_ENVOY or the one
// that `make envoy` fetched.
func Find(root string) (*Binaries, error) {
	b := &Binaries{Sluice: os.Getenv("SLUICE"), Envoy: os.Getenv("SLUICE_ENVOY")}
	if b.Sluice == "" {
		b.Sluice = filepath.Join(root, "bin", "sluice")
	}
	if b.Envoy == "" {
		b.Envoy = filepath.Join(root, ".cache", "envoy", "1.40.0", "envoy")
	}
	for path, target := range map[string]string{b.Sluice: "make build", b.Envoy: "make envoy"} {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("%w: run `%s`", err, target)
		}
	}
	return b, nil
}

// Sluice is a running `sluice run` with its Envoy, in a cell of its own.
type Sluice struct {
	// Folder is the folder that it serves; Cgroup the one of sluice itself.
	Folder, Cgroup string

	binaries *Binaries
	cell     *rig.Cell
	paths    []string
	runDir   string
	process  *rig.Process
}

// Prepare makes ready what a sluice in the cell needs. The folder is empty.
func (b *Binaries) Prepare(r *rig.Rig, c *rig.Cell) (*Sluice, error) {
	s := &Sluice{
		Folder: filepath.Join(c.Dir, "mesh"), Cgroup: filepath.Join(c.Cgroup, "agent"),
		binaries: b, cell: c, runDir: filepath.Join(c.Dir, "run"),
	}
	bpffs := filepath.Join(c.Dir, "bpf")
	for _, dir := range []string{s.Folder, bpffs, s.runDir} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, fmt.Errorf("prepare sluice: %w", err)
		}
	}
	if err := unix.Mount("bpf", bpffs, "bpf", 0, "mode=0700"); err != nil {
		return nil, fmt.Errorf("mount bpffs: %w", err)
	}
	s.paths = []string{"--run-dir", s.runDir, "--bpffs", filepath.Join(bpffs, "sluice"), "--cgroup-root", c.Cgroup}
	r.OnClose(s.Stop)
	return s, nil
}

// Start starts sluice and returns the time until it was ready.
func (s *Sluice) Start(ctx context.Context, timeout time.Duration) (time.Duration, error) {
	begin := time.Now()
	args := append([]string{
		"run", "--folder", s.Folder, "--state-dir", filepath.Join(s.cell.Dir, "state"),
		"--envoy", s.binaries.Envoy, "--envoy-concurrency", "1", "--log-level", "warn",
	}, s.paths...)
	var err error
	if s.process, err = s.cell.Start(s.cell.Node, "agent", s.binaries.Sluice, args...); err != nil {
		return 0, err
	}
	s.process.Drop()
	if err := s.ready(ctx, timeout); err != nil {
		return 0, err
	}
	return time.Since(begin), nil
}

// ready waits for `sluice status` to say that the folder is in force.
func (s *Sluice) ready(ctx context.Context, timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	for {
		cmd := exec.CommandContext(ctx, s.binaries.Sluice, "status", "--run-dir", s.runDir, "--wait", "3s")
		out, err := cmd.CombinedOutput()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.process.Done():
			return fmt.Errorf("sluice has ended: %s", s.process.Log())
		default:
		}
		if time.Now().After(deadline) {
			const most = 1000 // the rest lists all routes
			return fmt.Errorf("sluice is not ready after %s: %s; %s", timeout, out[:min(len(out), most)], s.process.Log())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// PID is sluice's process id.
func (s *Sluice) PID() int { return s.process.PID() }

// EnvoyCgroup is the cgroup in which sluice runs Envoy.
func (s *Sluice) EnvoyCgroup() string { return filepath.Join(s.cell.Cgroup, "sluice", "envoy") }

// EnvoyPID is the process id of sluice's Envoy.
func (s *Sluice) EnvoyPID() (int, error) {
	procs, err := os.ReadFile(filepath.Join(s.EnvoyCgroup(), "cgroup.procs"))
	if err != nil {
		return 0, fmt.Errorf("find Envoy: %w", err)
	}
	first, _, _ := strings.Cut(string(procs), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		return 0, fmt.Errorf("find Envoy: no process in %s", s.EnvoyCgroup())
	}
	return pid, nil
}

// Admin asks the admin interface of sluice's Envoy.
func (s *Sluice) Admin() *Admin { return newAdmin(filepath.Join(s.runDir, "envoy", "admin.sock")) }

// Stop ends sluice and removes what it has made. It can be called again.
func (s *Sluice) Stop() error {
	if s.process == nil {
		return nil
	}
	err := s.process.Stop()
	s.process = nil
	out, failed := exec.Command(s.binaries.Sluice, append([]string{"uninstall"}, s.paths...)...).CombinedOutput()
	if failed != nil {
		failed = fmt.Errorf("sluice uninstall: %w: %s", failed, out)
	}
	return errors.Join(err, failed)
}

// EnvoyVersion is the version of Envoy that the benchmarks run.
const EnvoyVersion = "1.40.0"

// Version is what sluice calls its version.
func (b *Binaries) Version() (string, error) {
	out, err := exec.Command(b.Sluice, "--version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ask sluice for its version: %w: %s", err, out)
	}
	fields := strings.Fields(string(out))
	return fields[len(fields)-1], nil
}
