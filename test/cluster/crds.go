package cluster

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"sluice.io/sluice/test/cluster/build"
)

const (
	gatewayModule = "sigs.k8s.io/gateway-api"
	gatewayPolicy = "safe-upgrades.gateway.networking.k8s.io"
)

// InstallGatewayAPI installs the CRDs of a channel, experimental or standard, of
// the version that the main module requires.
func (c *Cluster) InstallGatewayAPI(ctx context.Context, channel string) error {
	cache, err := build.Open(c.progress.say)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}} {{.Version}}", gatewayModule)
	cmd.Dir = cache.Repo()
	b, err := cmd.Output()
	dir, version, ok := strings.Cut(strings.TrimSpace(string(b)), " ")
	if err != nil || !ok {
		return fmt.Errorf("find the module %s: run `go mod download`: %w", gatewayModule, err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "config", "crd", channel, "gateway.networking*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("%s %s has no CRDs of channel %q: %w", gatewayModule, version, channel, err)
	}
	// The policy that comes with the CRDs refuses one channel over the other.
	for _, kind := range []string{"validatingadmissionpolicybinding", "validatingadmissionpolicy"} {
		if _, err := c.Kubectl(ctx, "delete", kind, gatewayPolicy, "--ignore-not-found"); err != nil {
			return err
		}
	}
	args := []string{"apply", "--server-side", "--force-conflicts"}
	for _, f := range files {
		args = append(args, "-f", f)
	}
	out, err := c.Kubectl(ctx, args...)
	if err != nil {
		return fmt.Errorf("install the Gateway API: %w", err)
	}
	wait := []string{"wait", "--for=condition=Established", "--timeout=60s"}
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); strings.HasPrefix(f[0], "customresourcedefinition") {
			wait = append(wait, f[0])
		}
	}
	if _, err := c.Kubectl(ctx, wait...); err != nil {
		return fmt.Errorf("install the Gateway API: %w", err)
	}
	c.progress.say("Gateway API %s, channel %s", version, channel)
	return nil
}
