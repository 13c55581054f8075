// Package envoytest gives tests the real Envoy.
package envoytest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sluice.io/sluice/envoy"
)

// Binary returns the path of the Envoy to test with: $SLUICE_ENVOY, or what
// `make envoy` put into the cache. Without one the test fails; in -short mode it
// is skipped.
func Binary(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Envoy")
	}
	path := os.Getenv("SLUICE_ENVOY")
	if path == "" {
		path = filepath.Join(root(t), ".cache", "envoy", envoy.MinVersion, "envoy")
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("no Envoy to test with (%v): run `make envoy`, or set SLUICE_ENVOY", err)
	}
	return path
}

// root is the folder of go.mod.
func root(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatalf("find the repository: %v", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out)))
}

// Dir makes a folder that Envoy's user can enter, unlike t.TempDir, with a path
// short enough for sockets.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", fmt.Sprintf("slt-%d-", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Config is a configuration of an Envoy of its own in a folder, which is
// stopped when the test ends, whoever started it.
func Config(t testing.TB, dir string) envoy.Config {
	t.Helper()
	cfg := envoy.Config{
		Binary:      Binary(t),
		Dir:         filepath.Join(dir, "envoy"),
		XDSSocket:   filepath.Join(dir, "xds.sock"),
		Cgroup:      cgroup(t, filepath.Base(dir)),
		Concurrency: 2, LogLevel: os.Getenv("SLT_LOG"),
		DrainTime: 2e9,
	}
	t.Cleanup(func() {
		if t.Failed() {
			b, _ := os.ReadFile(filepath.Join(cfg.Dir, "envoy.log"))
			t.Logf("envoy.log:\n%s", b)
		}
		if err := envoy.Stop(cfg); err != nil {
			t.Error(err)
		}
		os.Remove(cfg.Cgroup)
	})
	return cfg
}

// cgroup names a cgroup below the cgroup2 hierarchy, wherever that is mounted.
func cgroup(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		before, after, _ := strings.Cut(line, " - ")
		if f := strings.Fields(before); strings.HasPrefix(after, "cgroup2 ") && len(f) > 4 {
			return filepath.Join(f[4], name)
		}
	}
	t.Fatal("no cgroup2 hierarchy is mounted: mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified")
	return ""
}
