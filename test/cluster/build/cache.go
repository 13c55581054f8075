// Package build builds what a cluster is made of, once per version: Kubernetes,
// CoreDNS, the first process of a machine, and images.
//
// It owns the cache, .cache/cluster/<name>-<version>-<hash of the sources>, and
// which images there are. It must not know how a cluster runs them.
package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Cache builds what is asked for and not there yet. What is there is whole:
// an interrupted build leaves nothing that would be taken for it.
type Cache struct {
	repo     string
	dir      string
	progress func(format string, args ...any)
}

// Open opens the cache of the repository that the working directory is in.
func Open(progress func(format string, args ...any)) (*Cache, error) {
	repo, err := findRepo()
	if err != nil {
		return nil, err
	}
	return &Cache{repo, filepath.Join(repo, ".cache", "cluster"), progress}, nil
}

// findRepo returns the root of the main module, above the working directory.
func findRepo() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for d := dir; ; d = filepath.Dir(d) {
		b, err := os.ReadFile(filepath.Join(d, "go.mod"))
		if err == nil && strings.HasPrefix(string(b), "module sluice.io/sluice\n") {
			return d, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("%s is not in a checkout of Sluice, whose sources a cluster is built from", dir)
		}
	}
}

// Repo is the root of the checkout.
func (c *Cache) Repo() string { return c.repo }

// recipe is one thing to build.
type recipe struct {
	name    string
	version string
	sources []string // Folders in test/cluster; their Go files and go.mod decide whether it is built anew.
	also    string   // What else decides.
	cost    string   // How long it takes, said before.
	make    func(ctx context.Context, out string) error
}

// get returns the folder of what the recipe makes. One process builds at a time.
func (c *Cache) get(ctx context.Context, r recipe) (string, error) {
	key, err := c.key(r)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(c.dir, key)
	if exists(dir) {
		return dir, nil
	}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(ctx, filepath.Join(c.dir, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if exists(dir) {
		return dir, nil
	}
	c.progress("build %s %s%s", r.name, r.version, r.cost)
	start := time.Now()
	part := dir + ".part"
	if err := errors.Join(os.RemoveAll(part), os.Mkdir(part, 0o755)); err != nil {
		return "", err
	}
	if err := r.make(ctx, part); err != nil {
		return "", errors.Join(fmt.Errorf("build %s: %w", r.name, err), os.RemoveAll(part))
	}
	if err := os.Rename(part, dir); err != nil {
		return "", err
	}
	c.progress("built %s in %s", r.name, time.Since(start).Round(100*time.Millisecond))
	return dir, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// key names what the recipe makes: equal sources, equal key.
func (c *Cache) key(r recipe) (string, error) {
	var files []string
	for _, dir := range r.sources {
		for _, pattern := range []string{"*.go", "go.mod", "go.sum"} {
			found, err := filepath.Glob(filepath.Join(c.source(dir), pattern))
			if err != nil {
				return "", err
			}
			files = append(files, found...)
		}
	}
	if len(files) == 0 && len(r.sources) > 0 {
		return "", fmt.Errorf("build %s: no sources in %v", r.name, r.sources)
	}
	slices.Sort(files)
	h := sha256.New()
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return "", err
		}
		_, _ = fmt.Fprintf(h, "%s %d\n%s", filepath.Base(f), len(b), b)
	}
	_, _ = h.Write([]byte(r.also))
	return fmt.Sprintf("%s-%s-%s", r.name, r.version, hex.EncodeToString(h.Sum(nil))[:10]), nil
}

// source is a folder of test/cluster.
func (c *Cache) source(dir string) string { return filepath.Join(c.repo, "test", "cluster", dir) }

// goBuild builds a static binary; dir is where the module is.
func (c *Cache) goBuild(ctx context.Context, dir, pkg, out string, flags ...string) error {
	args := append([]string{"build", "-trimpath", "-buildvcs=false", "-o", out}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Dir = c.source(dir)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	// The compilers end with go, which removes its files when interrupted.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if b, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s in %s: %w\n%s", strings.Join(cmd.Args[1:], " "), cmd.Dir, errors.Join(ctx.Err(), err), b)
	}
	return nil
}

// moduleVersion reads from a module of test/cluster which version of another it pins.
func (c *Cache) moduleVersion(dir, module string) (string, error) {
	path := filepath.Join(c.source(dir), "go.mod")
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(f) >= 2 && f[0] == module && strings.HasPrefix(f[1], "v") {
			return f[1], nil
		}
	}
	return "", fmt.Errorf("%s does not require %s", path, module)
}

// moduleDir is the folder of a module that the one in a folder of ours requires.
func (c *Cache) moduleDir(ctx context.Context, dir, module string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module)
	cmd.Dir, cmd.Env = c.source(dir), append(os.Environ(), "GOWORK=off")
	b, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("find the module %s: %w", module, err)
	}
	return strings.TrimSpace(string(b)), nil
}

// lock waits for the file's lock.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			_ = f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, fmt.Errorf("wait for the lock %s: %w", path, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}
