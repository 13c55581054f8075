package build

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// certManagerModule is cert-manager's own.
const certManagerModule = "github.com/cert-manager/cert-manager"

// CertManager returns the folder of cert-manager's program, cert-manager, and of
// its CRDs, crds.
func (c *Cache) CertManager(ctx context.Context) (string, error) {
	version, err := c.moduleVersion("cert-manager", certManagerModule)
	if err != nil {
		return "", err
	}
	return c.get(ctx, recipe{
		name: "cert-manager", version: version, sources: []string{"cert-manager"}, cost: ": once, some four minutes",
		make: func(ctx context.Context, out string) error {
			if err := c.goBuild(ctx, "cert-manager", ".", filepath.Join(out, "cert-manager"), "-ldflags", "-s -w"); err != nil {
				return err
			}
			return c.certManagerCRDs(ctx, filepath.Join(out, "crds"))
		},
	})
}

// certManagerCRDs copies the CRDs out of the module; not its README, which is no
// manifest.
func (c *Cache) certManagerCRDs(ctx context.Context, out string) error {
	dir, err := c.moduleDir(ctx, "cert-manager", certManagerModule)
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "deploy", "crds", "*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("%s has no CRDs in deploy/crds: %w", certManagerModule, err)
	}
	if err := os.Mkdir(out, 0o755); err != nil {
		return err
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(out, filepath.Base(f)), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
