package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestOneHasTheLock(t *testing.T) {
	p := Paths{RunDir: filepath.Join(t.TempDir(), "run")}
	first, err := p.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Lock(); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), p.RunDir) {
		t.Fatalf("a second one: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.AwaitLock(ctx, time.Minute, func() {}); !errors.Is(err, ErrLocked) {
		t.Fatalf("one that is told to stop while it waits: %v", err)
	}
	if _, err := p.AwaitLock(t.Context(), 0, func() {}); !errors.Is(err, ErrLocked) {
		t.Fatalf("one without patience: %v", err)
	}
	waits := make(chan struct{})
	go func() { <-waits; first.Unlock() }()
	second, err := p.AwaitLock(t.Context(), time.Minute, func() { close(waits) })
	if err != nil {
		t.Fatalf("one that waits: %v", err)
	}
	if err := errors.Join(second.Remove(), os.Remove(p.RunDir)); err != nil {
		t.Fatalf("the last one leaves: %v", err)
	}
	second.Unlock()
}

// TestPlacesHaveOneOwner: with another run directory a place is still locked, and what
// was claimed beside it is let go; places that do not exist are nobody's.
func TestPlacesHaveOneOwner(t *testing.T) {
	paths := func() (Paths, string) {
		dir := t.TempDir()
		p := Paths{BPFFS: filepath.Join(dir, "bpf"), CgroupRoot: filepath.Join(dir, "cgroup")}
		if err := errors.Join(os.MkdirAll(p.BPFFS, 0o700), os.MkdirAll(p.EnvoyCgroup(), 0o700), os.Mkdir(filepath.Join(dir, "state"), 0o700)); err != nil {
			t.Fatal(err)
		}
		return p, filepath.Join(dir, "state")
	}
	one, oneState := paths()
	first, err := one.Claim(t.Context(), oneState)
	if err != nil {
		t.Fatal(err)
	}
	for _, shared := range []string{one.BPFFS, one.ownCgroup(), oneState} {
		two, state := paths()
		switch shared {
		case one.BPFFS:
			two.BPFFS = shared
		case oneState:
			state = shared
		default:
			two.CgroupRoot = one.CgroupRoot
		}
		if _, err := two.Claim(t.Context(), state); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "another sluice runs with "+shared+":") {
			t.Errorf("one that shares %s: %v", shared, err)
		}
	}
	first.Drop()
	if err := os.Remove(one.BPFFS); err != nil {
		t.Fatal(err)
	}
	next, err := one.Claim(t.Context(), oneState)
	if err != nil {
		t.Fatalf("after the first: %v", err)
	}
	next.Drop()
}

// TestALockThatIsRemovedIsNobodys: who had opened the file before it was removed has
// nothing by it, as others lock the next file.
func TestALockThatIsRemovedIsNobodys(t *testing.T) {
	p := Paths{RunDir: t.TempDir()}
	var inside atomic.Int32
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 3000 {
				l, err := p.Lock()
				if errors.Is(err, ErrLocked) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d have the lock", n)
				}
				runtime.Gosched()
				inside.Add(-1)
				if err := l.Remove(); err != nil {
					t.Error(err)
				}
				l.Unlock()
			}
		})
	}
	group.Wait()
}
