package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// EnvoyVersion is the version of Envoy that the tests run.
const EnvoyVersion = "1.40.0"

// RepoRoot finds the module's root above the working directory.
func RepoRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
}

// FindEnvoy returns the path of the Envoy to test with: $SLUICE_ENVOY, or the
// one that `make envoy` has fetched.
func FindEnvoy(repo string) (string, error) {
	path := os.Getenv("SLUICE_ENVOY")
	if path == "" {
		path = filepath.Join(repo, ".cache", "envoy", EnvoyVersion, "envoy")
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("no Envoy at %s: run `make envoy`, or set SLUICE_ENVOY", path)
	}
	return path, nil
}

// Build builds one of the repository's programs as file out.
func Build(ctx context.Context, repo, pkg, out string, flags ...string) error {
	args := append([]string{"build", "-o", out}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Dir = repo
	if b, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, b)
	}
	return nil
}
