package build

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// newCache makes a cache of a repository that has one source file.
func newCache(t *testing.T) *Cache {
	t.Helper()
	repo := t.TempDir()
	c := &Cache{repo, filepath.Join(repo, ".cache"), t.Logf}
	if err := os.MkdirAll(c.source("thing"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(c.source("thing"), "go.mod"), "module x\n\nrequire (\n\texample.com/a v1.2.3 // indirect\n)\n\nreplace example.com/a => example.com/a v9.9.9\n")
	return c
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestBuiltOncePerSource(t *testing.T) {
	c, made := newCache(t), 0
	r := recipe{name: "thing", version: "v1", sources: []string{"thing"}, make: func(_ context.Context, out string) error {
		made++
		return os.WriteFile(filepath.Join(out, "it"), nil, 0o600)
	}}
	get := func() string {
		dir, err := c.get(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, "it")); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	first := get()
	if again := get(); again != first || made != 1 {
		t.Errorf("%s and %s, made %d times, want the same, made once", first, again, made)
	}
	write(t, filepath.Join(c.source("thing"), "main.go"), "package main\n")
	if other := get(); other == first || made != 2 {
		t.Errorf("after a change: %s, made %d times, want another, made twice", other, made)
	}
}

func TestFailedBuildLeavesNothing(t *testing.T) {
	c := newCache(t)
	broken := errors.New("broken")
	r := recipe{name: "thing", version: "v1", sources: []string{"thing"}, make: func(_ context.Context, out string) error {
		write(t, filepath.Join(out, "half"), "")
		return broken
	}}
	if _, err := c.get(t.Context(), r); !errors.Is(err, broken) || !strings.Contains(err.Error(), "build thing") {
		t.Errorf("error is %v, want one that names the thing and the reason", err)
	}
	if left, _ := filepath.Glob(filepath.Join(c.dir, "thing*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	r.sources = []string{"nothing"}
	if _, err := c.get(t.Context(), r); err == nil {
		t.Error("a thing without sources was made")
	}
}

func TestModuleVersion(t *testing.T) {
	c := newCache(t)
	if v, err := c.moduleVersion("thing", "example.com/a"); err != nil || v != "v1.2.3" {
		t.Errorf("version %q, %v, want v1.2.3", v, err)
	}
	if _, err := c.moduleVersion("thing", "example.com/b"); err == nil {
		t.Error("a version of a module that isn't required")
	}
}

func TestRepoIsFound(t *testing.T) {
	c, err := Open(t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := c.KubeVersion(); err != nil || !strings.HasPrefix(v, "v1.") {
		t.Errorf("Kubernetes %q, %v", v, err)
	}
	t.Chdir(t.TempDir())
	if _, err := Open(t.Logf); err == nil {
		t.Error("a repository was found where there is none")
	}
}
