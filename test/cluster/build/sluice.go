package build

import (
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"sluice.io/sluice/test/cluster/oci"
)

// SluiceRepository is the name of Sluice's image, without its tag.
const SluiceRepository = "sluice.io/sluice"

// SluiceImage is Sluice's image as it was built of the working tree.
type SluiceImage struct {
	Archive string
	Tag     string // The contents decide it: other contents, other tag.
	Binary  string // What the image has as /usr/bin/sluice; for the command line.
}

// Sluice builds the image of Sluice, as the working tree is.
//
// It is one image for agent, Envoy and controller: Envoy's container starts
// sluice, which watches over Envoy, so that two images would both hold sluice,
// and could be of two versions.
func (c *Cache) Sluice(ctx context.Context) (SluiceImage, error) {
	contents, err := c.sluiceImage(ctx)
	if err != nil {
		return SluiceImage{}, err
	}
	digest, err := digestOf(contents.Files)
	if err != nil {
		return SluiceImage{}, err
	}
	im := SluiceImage{Tag: "dev-" + digest[:12], Binary: c.sluiceBinary()}
	contents.Names = []string{SluiceRepository + ":" + im.Tag}
	dir, err := c.get(ctx, recipe{
		name: "image-sluice", version: "v1", sources: []string{"oci"}, also: digest,
		make: func(_ context.Context, out string) error {
			return errors.Join(c.forgetSluice(out), contents.WriteFile(filepath.Join(out, "sluice.oci.tar")))
		},
	})
	im.Archive = filepath.Join(dir, "sluice.oci.tar")
	return im, err
}

// WriteSluice writes the image of Sluice, as the working tree is, to an archive,
// under a name such as registry.example.com/sluice:v1.
func (c *Cache) WriteSluice(ctx context.Context, file, name string) error {
	contents, err := c.sluiceImage(ctx)
	if err != nil {
		return err
	}
	contents.Names = []string{name}
	contents.Labels = map[string]string{
		"org.opencontainers.image.title": "Sluice", "org.opencontainers.image.version": c.Version(ctx),
		"org.opencontainers.image.licenses": "Apache-2.0",
	}
	return contents.WriteFile(file)
}

// sluiceImage is what the image has, without a name.
func (c *Cache) sluiceImage(ctx context.Context) (oci.Image, error) {
	if err := c.buildSluice(ctx, c.sluiceBinary()); err != nil {
		return oci.Image{}, err
	}
	envoy, err := c.envoy()
	if err != nil {
		return oci.Image{}, err
	}
	files := []oci.File{
		{Path: "/usr/bin/sluice", Source: c.sluiceBinary()},
		{Path: "/usr/bin/envoy", Source: envoy},
		// For backends whose certificates the system's authorities have signed.
		{Path: "/etc/ssl/certs/ca-certificates.crt", Source: "/etc/ssl/certs/ca-certificates.crt", Mode: 0o644},
	}
	libs, err := libraries(envoy)
	if err != nil {
		return oci.Image{}, err
	}
	for _, lib := range libs {
		files = append(files, oci.File{Path: lib, Source: lib})
	}
	return oci.Image{Files: files, Entrypoint: []string{"/usr/bin/sluice"}}, nil
}

func (c *Cache) sluiceBinary() string { return filepath.Join(c.dir, "sluice", "sluice") }

// buildSluice builds the static binary of the main module, as `make build` does.
func (c *Cache) buildSluice(ctx context.Context, out string) error {
	return c.goBuild(ctx, "../..", "./cmd/sluice", out, "-ldflags", "-s -w -X main.version="+c.Version(ctx))
}

// Version is that of the working tree.
func (c *Cache) Version(ctx context.Context) string {
	version, err := exec.CommandContext(ctx, "git", "-C", c.repo, "describe", "--tags", "--always").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(version))
}

// envoy is the path of the pinned Envoy: where SLUICE_ENVOY says, or where
// `make envoy` puts it.
func (c *Cache) envoy() (string, error) {
	if path := os.Getenv("SLUICE_ENVOY"); path != "" {
		return path, nil
	}
	found, err := filepath.Glob(filepath.Join(c.repo, ".cache", "envoy", "*", "envoy"))
	if err != nil || len(found) == 0 {
		return "", errors.Join(errors.New("there is no Envoy in .cache/envoy: run `make envoy`"), err)
	}
	return found[len(found)-1], nil
}

// forgetSluice removes the images of earlier working trees, but for the one that
// is being made: they are large, and nobody asks for them again.
func (c *Cache) forgetSluice(making string) error {
	old, err := filepath.Glob(filepath.Join(c.dir, "image-sluice-*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range old {
		if dir != making {
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	return errors.Join(errs...)
}

// Helm returns the path of helm.
func (c *Cache) Helm(ctx context.Context) (string, error) {
	version, err := c.moduleVersion("helm", "helm.sh/helm/v4")
	if err != nil {
		return "", err
	}
	dir, err := c.get(ctx, recipe{
		name: "helm", version: version, sources: []string{"helm"}, cost: ": once, some three minutes",
		make: func(ctx context.Context, out string) error {
			return c.goBuild(ctx, "helm", "helm.sh/helm/v4/cmd/helm", filepath.Join(out, "helm"),
				"-ldflags", "-s -w -X helm.sh/helm/v4/internal/version.version="+version)
		},
	})
	return filepath.Join(dir, "helm"), err
}

// Conformance returns the path of the compiled conformance suite, as the working
// tree is.
func (c *Cache) Conformance(ctx context.Context) (string, error) {
	out := filepath.Join(c.dir, "conformance", "conformance.test")
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-trimpath", "-buildvcs=false", "-o", out, ".")
	cmd.Dir = filepath.Join(c.repo, "conformance")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if b, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the conformance suite: %w\n%s", errors.Join(ctx.Err(), err), b)
	}
	return out, nil
}

// libraryDirs are where Debian and others have libraries.
var libraryDirs = []string{"/lib/*-linux-gnu", "/usr/lib/*-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"}

// libraries lists the loader and the libraries of this machine that a program
// needs, with those that they need.
func libraries(program string) ([]string, error) {
	loader, err := loaderOf(program)
	if err != nil {
		return nil, err
	}
	found := []string{}
	have := map[string]bool{filepath.Base(loader): true}
	if loader != "" {
		found = append(found, loader)
	}
	for queue := []string{program}; len(queue) > 0; queue = queue[1:] {
		names, err := needed(queue[0])
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if have[name] {
				continue
			}
			have[name] = true
			path, err := findLibrary(name)
			if err != nil {
				return nil, fmt.Errorf("%s needs it: %w", program, err)
			}
			found, queue = append(found, path), append(queue, path)
		}
	}
	return found, nil
}

func needed(path string) ([]string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	defer func() { _ = f.Close() }()
	return f.ImportedLibraries()
}

// loaderOf is the path of the loader that a program names; none for a static one.
func loaderOf(program string) (string, error) {
	f, err := elf.Open(program)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", program, err)
	}
	defer func() { _ = f.Close() }()
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		b, err := io.ReadAll(p.Open())
		return strings.TrimRight(string(b), "\x00"), err
	}
	return "", nil
}

func findLibrary(name string) (string, error) {
	for _, pattern := range libraryDirs {
		found, err := filepath.Glob(filepath.Join(pattern, name))
		if err != nil {
			return "", err
		}
		if len(found) > 0 {
			return found[0], nil
		}
	}
	return "", fmt.Errorf("library %s is not on this machine", name)
}

// digestOf is the digest of what the files are.
func digestOf(files []oci.File) (string, error) {
	h := sha256.New()
	for _, f := range files {
		if err := addFile(h, f); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func addFile(h io.Writer, f oci.File) error {
	r, err := os.Open(f.Source)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	if _, err := fmt.Fprintf(h, "%s %o\n", f.Path, f.Mode); err != nil {
		return err
	}
	_, err = io.Copy(h, r)
	return err
}
