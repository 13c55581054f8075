// Package install installs Sluice on a cluster of test/cluster, as a user does:
// with helm, from the chart and an image of the working tree.
//
// It owns what a cluster of tests is installed with: values, addresses for
// Gateways. It must not know how a cluster is made, nor what Sluice does there.
package install

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sluice.io/sluice/test/cluster"
	"sluice.io/sluice/test/cluster/build"
)

// Names of what is installed.
const (
	Namespace    = "sluice-system"
	Name         = "sluice" // The release's.
	GatewayClass = "sluice"
)

// Release is Sluice on a cluster, installed or about to be.
type Release struct {
	Cluster *cluster.Cluster
	// Tag is that of the image of the working tree, which the nodes have.
	Tag string
	// Chart is the chart's folder.
	Chart string
	// Binary is sluice, for the command line.
	Binary string
	// Set are more values, as helm's --set has them.
	Set []string

	helm string
	say  func(format string, args ...any)
}

// Prepare builds what an installation needs, and loads the image on each node.
func Prepare(ctx context.Context, c *cluster.Cluster, progress io.Writer) (*Release, error) {
	start := time.Now()
	say := func(format string, args ...any) {
		_, _ = fmt.Fprintf(progress, "[%6.1fs] %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	}
	cache, err := build.Open(say)
	if err != nil {
		return nil, err
	}
	helm, err := cache.Helm(ctx)
	if err != nil {
		return nil, err
	}
	image, err := cache.Sluice(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.LoadImage(ctx, image.Archive); err != nil {
		return nil, err
	}
	say("image %s is on each node", image.Tag)
	return &Release{
		Cluster: c, Tag: image.Tag, Chart: filepath.Join(cache.Repo(), "charts", "sluice"), Binary: image.Binary, helm: helm, say: say,
	}, nil
}

// Values are the chart's for a cluster of tests, as arguments for helm.
func (r *Release) Values() []string {
	values := []string{"--set", "image.tag=" + r.Tag}
	for _, v := range r.Set {
		values = append(values, "--set", v)
	}
	// Some machines of tests have cgroup version 2 beside version 1.
	var fs unix.Statfs_t
	if err := unix.Statfs("/sys/fs/cgroup", &fs); err != nil || fs.Type != unix.CGROUP2_SUPER_MAGIC {
		values = append(values, "--set", "node.cgroupRoot=/sys/fs/cgroup/unified")
	}
	return values
}

// Install installs the chart, or upgrades to it; more are arguments for helm.
func (r *Release) Install(ctx context.Context, more ...string) error {
	args := append([]string{"upgrade", "--install", Name, r.Chart, "--namespace", Namespace, "--create-namespace"}, r.Values()...)
	if _, err := r.Helm(ctx, append(args, more...)...); err != nil {
		return err
	}
	r.say("chart installed")
	return nil
}

// Helm runs helm as administrator, and returns what it printed.
func (r *Release) Helm(ctx context.Context, args ...string) (string, error) {
	var out, errOut strings.Builder
	cmd := exec.CommandContext(ctx, r.helm, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+r.Cluster.Kubeconfig())
	for _, kind := range []string{"CACHE", "CONFIG", "DATA"} { // They go away with the cluster.
		cmd.Env = append(cmd.Env, "HELM_"+kind+"_HOME="+filepath.Join(r.Cluster.Config().Dir, "helm", strings.ToLower(kind)))
	}
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := r.Cluster.Control().Start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return out.String(), fmt.Errorf("helm %s: %w\n%s", strings.Join(args, " "), errors.Join(err, ctx.Err()), strings.TrimSpace(errOut.String()))
	}
	return out.String(), nil
}

// Ready waits until every pod of the release is.
func (r *Release) Ready(ctx context.Context, within time.Duration) error {
	for _, what := range []string{"daemonset/sluice-agent", "daemonset/sluice-envoy", "deployment/sluice-controller"} {
		_, err := r.Cluster.Kubectl(ctx, "-n", Namespace, "rollout", "status", what, "--timeout", within.String())
		if err != nil {
			pods, _ := r.Cluster.Kubectl(ctx, "-n", Namespace, "get", "pods", "-o", "wide")
			return errors.Join(err, errors.New(pods))
		}
	}
	r.say("all pods are ready")
	return nil
}

// Addresses are those of the nodes' network that tests give to Gateways.
type Addresses struct {
	Pool []string // What an AddressPool has.
	// Usable is an address of the pool that nobody gets by himself until the others
	// are taken; Unusable is none of the pool's.
	Usable, Unusable netip.Addr
}

// AddressesOf returns the addresses for Gateways of a cluster, of its families.
func AddressesOf(c *cluster.Cluster) Addresses {
	last := func(p netip.Prefix, number uint16) netip.Addr {
		b := p.Masked().Addr().AsSlice()
		b[len(b)-1] = byte(number)
		if p.Addr().Is6() { // There the same digits are hexadecimal ones.
			b[len(b)-2] |= byte(number >> 8)
		}
		a, _ := netip.AddrFromSlice(b)
		return a
	}
	nodes := c.Config().Ranges.Nodes
	a := Addresses{
		Pool:   []string{fmt.Sprintf("%s-%s", last(nodes, 120), last(nodes, 250))},
		Usable: last(nodes, 250), Unusable: netip.MustParseAddr("192.0.2.1"),
	}
	if !c.Config().SingleStack {
		nodes := c.Config().Ranges.Nodes6
		a.Pool = append(a.Pool, fmt.Sprintf("%s-%s", last(nodes, 0x120), last(nodes, 0x250)))
	}
	return a
}

// Pool makes an AddressPool of the cluster's addresses for Gateways.
func (r *Release) Pool(ctx context.Context) error {
	_, err := r.Cluster.KubectlWith(ctx, fmt.Sprintf(`apiVersion: sluice.io/v1alpha1
kind: AddressPool
metadata: {name: default}
spec: {addresses: ["%s"]}
`, strings.Join(AddressesOf(r.Cluster).Pool, `", "`)), "apply", "--server-side", "-f", "-")
	return err
}

// Uninstall removes the release, and what a user would remove after it.
func (r *Release) Uninstall(ctx context.Context) error {
	_, err := r.Helm(ctx, "uninstall", Name, "--namespace", Namespace, "--ignore-not-found", "--wait")
	return err
}
