package lab

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
)

// Lab is everything that one process makes on the machine.
type Lab struct {
	prefix string
	dir    string
	cgroup string
	lock   *os.File
	log    *slog.Logger

	mu    sync.Mutex
	nodes []*Node
}

// Open sweeps what dead processes have left under name, and makes a new lab. It
// needs root. The name is short, and the same for all labs of one purpose.
func Open(name string, log *slog.Logger) (*Lab, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("network namespaces and eBPF need root: run this as root")
	}
	root, err := cgroup2Root()
	if err != nil {
		return nil, err
	}
	if err := mountBPFFS(); err != nil {
		return nil, err
	}
	if err := sweep(name, root, log); err != nil {
		return nil, fmt.Errorf("sweep what an earlier run left: %w", err)
	}
	prefix := fmt.Sprintf("%s-%d", name, os.Getpid())
	l := &Lab{
		prefix: prefix,
		dir:    filepath.Join(os.TempDir(), prefix),
		cgroup: filepath.Join(root, prefix),
		log:    log,
	}
	if err := os.Mkdir(l.dir, 0o755); err != nil {
		return nil, err
	}
	if l.lock, err = takeLock(l.dir); err != nil {
		return nil, err
	}
	if err := os.Mkdir(l.cgroup, 0o755); err != nil {
		return nil, err
	}
	return l, nil
}

// Dir is the lab's folder for files; Close removes it.
func (l *Lab) Dir() string { return l.dir }

// Close kills every process of the lab and removes all that it made.
func (l *Lab) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.nodes {
		n.forget()
	}
	l.nodes = nil
	err := remove(l.prefix, l.dir, l.cgroup)
	_ = l.lock.Close()
	return err
}
