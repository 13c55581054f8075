package netns

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice.io/sluice/test/netns/lab"
)

// load does one thing over and over, in several goroutines, and keeps count.
type load struct {
	name   string
	done   chan struct{}
	wg     sync.WaitGroup
	passed atomic.Int64
	failed atomic.Int64
	// first is the first failure.
	mu    sync.Mutex
	first error
}

// startLoad starts a load that ends with the test at the latest.
func startLoad(t *testing.T, name string, workers int, one func() error) *load {
	t.Helper()
	l := &load{name: name, done: make(chan struct{})}
	for range workers {
		l.wg.Go(func() { l.run(one) })
	}
	t.Cleanup(l.stop)
	return l
}

// run makes at most one step each millisecond: a load that takes all of a small
// machine would starve what it is to watch.
func (l *load) run(one func() error) {
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	for {
		select {
		case <-l.done:
			return
		case <-pace.C:
		}
		err := one()
		if err == nil {
			l.passed.Add(1)
			continue
		}
		if l.failed.Add(1) == 1 {
			l.mu.Lock()
			l.first = fmt.Errorf("%s: after %d that passed: %w", time.Now().Format("15:04:05.000"), l.passed.Load(), err)
			l.mu.Unlock()
		}
	}
}

func (l *load) stop() {
	select {
	case <-l.done:
	default:
		close(l.done)
	}
	l.wg.Wait()
}

// failure is the first failure so far.
func (l *load) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == nil {
		return nil
	}
	return fmt.Errorf("%s: %d failed, %d passed; the first: %w", l.name, l.failed.Load(), l.passed.Load(), l.first)
}

// progress waits until n more have passed, and none has failed.
func (l *load) progress(t *testing.T, n int64) {
	t.Helper()
	want := l.passed.Load() + n
	err := lab.Poll(30*time.Second, func() error {
		if err := l.failure(); err != nil {
			return lab.Permanent(err)
		}
		if got := l.passed.Load(); got < want {
			return fmt.Errorf("%s: %d passed, want %d", l.name, got, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// progressAll waits for each load to go on by n.
func progressAll(t *testing.T, n int64, loads ...*load) {
	t.Helper()
	for _, l := range loads {
		l.progress(t, n)
	}
}

// stopClean ends the loads, none of which may have failed once.
func stopClean(t *testing.T, loads ...*load) {
	t.Helper()
	for _, l := range loads {
		l.stop()
		if err := l.failure(); err != nil {
			t.Error(err)
		}
		t.Logf("%s: %d passed", l.name, l.passed.Load())
	}
}

// wantName makes a load's step out of a request that must reach one of the named servers.
func wantName(one func() string, names ...string) func() error {
	return func() error {
		got := one()
		for _, n := range names {
			if got == n {
				return nil
			}
		}
		return fmt.Errorf("reached %s, want %q", got, names)
	}
}
