package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// state is what is remembered of a cluster, from before anything is made of it
// until after everything is gone.
type state struct {
	Config   Config
	Programs map[string]string // Paths, by what they are.
	Cgroups  []string          // The cluster's folders, that of version 2 first.
	Whole    bool              // It was up once.
}

func statePath(name string) string { return filepath.Join(parentDir, name+".json") }

// readState returns nil when there is no such cluster.
func readState(name string) (*state, error) {
	b, err := os.ReadFile(statePath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	st := &state{}
	if err := json.Unmarshal(b, st); err != nil {
		return nil, fmt.Errorf("read %s: %w", statePath(name), err)
	}
	return st, nil
}

func (c *Cluster) writeState() error {
	b, err := json.MarshalIndent(c.state, "", "  ")
	if err != nil {
		return err
	}
	part := statePath(c.cfg.Name) + ".part"
	if err := os.WriteFile(part, b, 0o600); err != nil {
		return err
	}
	return os.Rename(part, statePath(c.cfg.Name))
}

func removeState(name string) error {
	err := os.Remove(statePath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// booted tells whether all machines run.
func (s *state) booted(ctx context.Context) bool {
	c := Cluster{cfg: s.Config}
	return len(s.running(ctx)) == len(c.machines())
}

// answersWithin is how long a machine may take to say that it runs.
const answersWithin = 5 * time.Second

// running lists the machines that run. One that takes connections and doesn't
// answer is there: its first process is stopped, or the host has no time for it.
func (s *state) running(ctx context.Context) []string {
	var names []string
	c := Cluster{cfg: s.Config}
	for _, name := range c.machines() {
		ask, cancel := context.WithTimeout(ctx, answersWithin)
		_, err := c.machine(name).Status(ask)
		if err == nil || ask.Err() != nil && ctx.Err() == nil {
			names = append(names, name)
		}
		cancel()
	}
	return names
}

// lockName waits for the right to bring up or take down the cluster of that name.
// The last to leave removes the lock's file, and the folder that it is in.
func lockName(ctx context.Context, name string) (unlock func(), err error) {
	path := filepath.Join(parentDir, name+".lock")
	for {
		if err := os.MkdirAll(parentDir, 0o755); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if errors.Is(err, fs.ErrNotExist) {
			continue // The folder went away just now.
		}
		if err != nil {
			return nil, err
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil && sameFile(f, path) {
			return func() {
				_ = os.Remove(path)
				_ = os.Remove(parentDir) // Fails for as long as there are clusters.
				_ = f.Close()
			}, nil
		}
		_ = f.Close()
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for another process that has the lock of cluster %s: %w", name, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// sameFile tells whether the path still leads to the file.
func sameFile(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(path)
	return err == nil && os.SameFile(a, b)
}
