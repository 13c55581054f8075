package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Lock is the right to work on a run directory: one process has it. The kernel drops it when the process
// ends, however it ends.
type Lock struct{ f *os.File }

// ErrLocked says that another process has the lock.
var ErrLocked = errors.New("stop it, or give this one its own --run-dir, --bpffs, --cgroup-root and --state-dir")

// lockPause is how often a lock is tried that another has.
const lockPause = 50 * time.Millisecond

// Lock takes the lock of the run directory, which it makes.
func (p Paths) Lock() (*Lock, error) {
	if err := os.MkdirAll(p.RunDir, 0o755); err != nil {
		return nil, fmt.Errorf("create the run directory: %w", err)
	}
	for {
		l, err := p.tryLock()
		if l != nil || err != nil {
			return l, err
		}
	}
}

// tryLock returns nil when the file that it locked is no longer the one that
// others will lock: whoever had it before has removed it.
func (p Paths) tryLock() (*Lock, error) {
	f, err := os.OpenFile(filepath.Join(p.RunDir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	locked, err := lockFile(f, p.RunDir)
	if locked {
		return &Lock{f: f}, nil
	}
	return nil, errors.Join(err, f.Close())
}

// lockFile locks a file or folder, which stands for what is told to people. It is not
// locked, without an error, when it is no longer the one that others will lock.
func lockFile(f *os.File, what string) (bool, error) {
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return false, fmt.Errorf("another sluice runs with %s: %w", what, ErrLocked)
		}
		return false, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	ours, err := f.Stat()
	if err != nil {
		return false, fmt.Errorf("look at the lock: %w", err)
	}
	theirs, err := os.Stat(f.Name())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("look at the lock: %w", err)
	}
	return err == nil && os.SameFile(ours, theirs), nil
}

// AwaitLock takes the lock like Lock, and waits for a while when another process
// has it: the agent before this one may still be on its way out. Waiting is
// called when it has to.
func (p Paths) AwaitLock(ctx context.Context, patience time.Duration, waiting func()) (*Lock, error) {
	end := time.Now().Add(patience)
	for first := true; ; first = false {
		l, err := p.Lock()
		if !errors.Is(err, ErrLocked) || time.Now().After(end) {
			return l, err
		}
		if first {
			waiting()
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(lockPause):
		}
	}
}

// Remove takes the lock's file away, as what is left but the run directory itself:
// from then on it keeps nobody out.
func (l *Lock) Remove() error {
	if err := os.Remove(l.f.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the lock: %w", err)
	}
	return nil
}

// Unlock lets others have the lock.
func (l *Lock) Unlock() { _ = l.f.Close() }
