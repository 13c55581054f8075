package netns

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice.io/sluice/envoy"
	"sluice.io/sluice/redirect"
)

// TestUnsupported proves that an Envoy or a kernel that sluice cannot work with
// is told at start with what is needed, and that nothing has been done by then.
func TestUnsupported(t *testing.T) {
	t.Parallel()
	w := idleWorld(t)
	supported := "Sluice needs at least " + envoy.MinVersion + " and less than " + envoy.EndVersion
	for _, c := range []struct {
		name, envoy string
		before      []string
		want        []string
	}{
		{"old Envoy", w.fakeEnvoy(t, "1.39.9"), nil, []string{"is Envoy 1.39.9: " + supported}},
		{"new Envoy", w.fakeEnvoy(t, envoy.EndVersion), nil, []string{"is Envoy " + envoy.EndVersion + ": " + supported}},
		{"no Envoy", filepath.Join(w.RunDir, "none"), nil, []string{"find Envoy: ", "none: no such file"}},
		// The kernel says that it is Linux 2.6, whatever it is.
		{"old kernel", w.Programs.Envoy, []string{"setarch", "--uname-2.6"}, []string{
			"this machine cannot run Sluice: kernel: Linux 2.6.", "; Linux " + redirect.MinKernel + " or newer is needed",
		}},
	} {
		err := w.failedRun(t, c.envoy, c.before)
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: sluice says %q, want %q", c.name, err, want)
			}
		}
		w.wantUntouched(t, c.name)
	}
}

// failedRun starts a `sluice run` that must end with an error, and returns that; flags
// come after the node's own, and win.
func (w *world) failedRun(t *testing.T, envoy string, before []string, flags ...string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := w.Run(ctx, slices.Concat(before, []string{
		w.Programs.CLI, "run", "-f", w.Folder.Dir, "--envoy", envoy, "--run-dir", w.RunDir,
		"--state-dir", w.StateDir, "--bpffs", w.BPFFS, "--cgroup-root", w.CgroupRoot,
	}, flags)...)
	if err == nil || ctx.Err() != nil {
		t.Fatalf("sluice ran: %v\n%s", err, out)
	}
	return err
}

// fakeEnvoy is a program that only tells its version.
func (w *world) fakeEnvoy(t *testing.T, version string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "envoy")
	script := "#!/bin/sh\necho 'envoy  version: 9e55/" + version + "/Clean/RELEASE/BoringSSL'\n"
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// wantUntouched wants no trace of a sluice but its lock, which stays until
// `sluice uninstall`: removing it could let two run at once.
func (w *world) wantUntouched(t *testing.T, when string) {
	t.Helper()
	for _, path := range []string{w.BPFFS, w.StateDir, w.EnvoyCgroup(), w.RunDir} {
		entries, err := os.ReadDir(path)
		switch {
		case errors.Is(err, os.ErrNotExist):
		case err != nil:
			t.Error(err)
		case path != w.RunDir || slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() != "lock" }):
			t.Errorf("%s: sluice made %s, with %v", when, path, entries)
		}
	}
}
