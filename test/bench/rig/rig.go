// Package rig is the ground that the benchmarks stand on: network namespaces
// wired as one node with a client pod and a server pod, cgroups that account
// for CPU, and processes started in both.
//
// It owns everything that must be gone afterwards, also after an interrupt. It
// must not know what is measured.
package rig

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// prefix starts the name of every namespace and cgroup; the process id follows.
const prefix = "slb"

// Rig owns one run's namespaces, cgroups, processes and files.
type Rig struct {
	// Dir holds the run's temporary files, among them the sockets.
	Dir string
	// Cgroup is the run's own cgroup2 directory.
	Cgroup string

	name string
	log  *slog.Logger

	mu      sync.Mutex
	cells   []*Cell
	closers []func() error
}

// New makes an empty rig, after removing what interrupted runs have left.
func New(log *slog.Logger) (*Rig, error) {
	root, err := cgroupRoot()
	if err != nil {
		return nil, err
	}
	if err := sweep(root); err != nil {
		return nil, err
	}
	r := &Rig{name: prefix + strconv.Itoa(os.Getpid()), log: log}
	r.Cgroup = filepath.Join(root, r.name)
	r.Dir = filepath.Join(os.TempDir(), r.name)
	if err := os.Mkdir(r.Cgroup, 0o755); err != nil {
		return nil, fmt.Errorf("make cgroup: %w", err)
	}
	if err := os.Mkdir(r.Dir, 0o755); err != nil {
		return nil, errors.Join(fmt.Errorf("make directory: %w", err), r.Close())
	}
	return r, nil
}

// OnClose has f called by Close, before anything else is torn down; the last
// one first.
func (r *Rig) OnClose(f func() error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closers = append(r.closers, f)
}

// Close ends all processes and removes every trace. It can be called again.
func (r *Rig) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for i := len(r.closers) - 1; i >= 0; i-- {
		errs = append(errs, r.closers[i]())
	}
	r.closers = nil
	errs = append(errs, removeCgroup(r.Cgroup))
	for _, c := range r.cells {
		errs = append(errs, c.remove())
	}
	r.cells = nil
	errs = append(errs, unmountBelow(r.Dir), os.RemoveAll(r.Dir))
	return errors.Join(errs...)
}

// sweep removes what a killed run has left: all that carries the name of a
// process that is no more.
func sweep(root string) error {
	var errs []error
	stale := func(path string) bool {
		pid, err := strconv.Atoi(strings.TrimPrefix(strings.SplitN(filepath.Base(path), "-", 2)[0], prefix))
		return err == nil && errors.Is(unix.Kill(pid, 0), unix.ESRCH)
	}
	find := func(pattern string, remove func(string) error) {
		found, err := filepath.Glob(pattern)
		errs = append(errs, err)
		for _, path := range found {
			if stale(path) {
				errs = append(errs, remove(path))
			}
		}
	}
	find(filepath.Join(root, prefix+"*"), removeCgroup)
	find(filepath.Join(netnsDir, prefix+"*"), func(path string) error { return run("ip", "netns", "del", filepath.Base(path)) })
	find(filepath.Join(os.TempDir(), prefix+"*"), func(path string) error {
		return errors.Join(unmountBelow(path), os.RemoveAll(path))
	})
	return errors.Join(errs...)
}
