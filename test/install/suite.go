package install

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"sluice.io/sluice/test/cluster"
	"sluice.io/sluice/test/cluster/build"
)

// Suite is a run of the conformance suite.
type Suite struct {
	Kind    string // Of profiles: gateway, mesh, or all.
	Run     string // A pattern of test names; all tests when empty.
	Keep    bool   // Leave what all tests share.
	Report  string // A file for the report.
	Args    []string
	Timeout time.Duration
	Output  io.Writer
}

// Execute runs the suite. It dials Gateways from where it runs, so it runs as a
// process in the control plane's network namespace.
func (s Suite) Execute(ctx context.Context, c *cluster.Cluster) error {
	cache, err := build.Open(func(format string, args ...any) { _, _ = fmt.Fprintf(s.Output, format+"\n", args...) })
	if err != nil {
		return err
	}
	bin, err := cache.Conformance(ctx)
	if err != nil {
		return err
	}
	args, err := s.arguments(ctx, c, cache)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Dir = filepath.Join(cache.Repo(), "conformance")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig())
	cmd.Stdout, cmd.Stderr = s.Output, s.Output
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) }
	cmd.WaitDelay = 10 * time.Second
	if err := c.Control().Start(cmd); err != nil {
		return fmt.Errorf("start the conformance suite: %w", err)
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("conformance: %w", errors.Join(err, ctx.Err()))
	}
	return nil
}

func (s Suite) arguments(ctx context.Context, c *cluster.Cluster, cache *build.Cache) ([]string, error) {
	pattern := "^TestConformance$"
	if s.Run != "" {
		pattern += "/(" + s.Run + ")" // else an alternative would be one to the whole
	}
	at := AddressesOf(c)
	args := []string{
		"-test.v", "-test.run", pattern, "-test.timeout", s.Timeout.String(), "-test.count=1",
		"-kind", s.Kind, "-gateway-class", GatewayClass,
		"-usable-address", at.Usable.String(), "-unusable-address", at.Unusable.String(),
		"-cleanup-base-resources=" + fmt.Sprint(!s.Keep),
	}
	if s.Kind != "gateway" {
		args = append(args, "-namespace-labels", "sluice.io/mesh=enabled")
	}
	if s.Report != "" && s.Run == "" {
		report, err := filepath.Abs(s.Report)
		if err != nil {
			return nil, err
		}
		args = append(args, "-report", report, "-version", cache.Version(ctx))
	}
	return append(args, s.Args...), nil
}
