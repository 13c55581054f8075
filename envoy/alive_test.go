package envoy

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// TestAlive: a supervisor that cannot start Envoy again lives, as it goes on trying; one
// that stands still does not.
func TestAlive(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "envoy")
	if err := os.WriteFile(broken, []byte("this is no program"), 0o700); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Binary: broken, Dir: filepath.Join(dir, "run"), Cgroup: filepath.Join(dir, "cgroup"), Log: slog.New(slog.DiscardHandler)})
		if err := s.Alive(); err != nil {
			t.Errorf("before it began: %v", err)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		done := make(chan error, 1)
		go func() {
			_, err := s.relaunch(ctx, 1)
			done <- err
		}()
		time.Sleep(time.Hour)
		if err := s.Alive(); err != nil || s.Status().Problem == "" {
			t.Errorf("while it tries: %v, problem %q", err, s.Status().Problem)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		time.Sleep(2 * stuck)
		if err := s.Alive(); err == nil {
			t.Error("it lives although its loop has ended")
		}
	})
}
