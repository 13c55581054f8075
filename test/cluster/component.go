package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sluice.io/sluice/test/cluster/build"
	"sluice.io/sluice/test/cluster/machine"
)

// component is a process of the cluster itself.
type component struct {
	machine string
	name    string // Unique in the cluster: etcd, or node1/kubelet.
	args    []string
	ready   func(ctx context.Context) error // Tells when it serves; nil when nothing waits for it.
}

// Programs of the host, where Debian's packages have them.
var hostPrograms = map[string]string{
	"containerd": "/usr/bin/containerd", "ctr": "/usr/bin/ctr", "runc": "/usr/sbin/runc", "cni": "/usr/lib/cni/ptp",
	"iptables": "/usr/sbin/iptables", "nft": "/usr/sbin/nft",
}

// Build builds everything that a cluster of any configuration is made of, and
// helm, so that the next up needs not wait for it.
func Build(ctx context.Context, out io.Writer) error {
	cache, err := build.Open(newProgress(out).say)
	if err != nil {
		return err
	}
	if _, err = findPrograms(ctx, cache, Config{Images: build.Images(), CertManager: true}); err != nil {
		return err
	}
	_, err = cache.Helm(ctx)
	return err
}

// findPrograms builds what is missing and returns the paths of all programs and
// image archives.
func findPrograms(ctx context.Context, cache *build.Cache, cfg Config) (map[string]string, error) {
	var missing []string
	for name, path := range hostPrograms {
		if _, err := os.Stat(path); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("%s missing on this machine: install the packages by `build/deps.sh cluster`", strings.Join(missing, ", "))
	}
	p := map[string]string{}
	all := map[string]func(context.Context) (string, error){"kube": cache.Kube, "coredns": cache.CoreDNS, "machine": cache.MachineInit}
	if cfg.CertManager {
		all["cert-manager"] = cache.CertManager
	}
	for name, find := range all {
		path, err := find(ctx)
		if err != nil {
			return nil, err
		}
		p[name] = path
	}
	for _, image := range cfg.Images {
		path := image
		if !strings.Contains(image, "/") {
			var err error
			if path, err = cache.Image(ctx, image); err != nil {
				return nil, err
			}
		}
		p["image "+image] = path
	}
	return p, nil
}

// kube is the path of one of Kubernetes' programs.
func (c *Cluster) kube(name string) string { return filepath.Join(c.state.Programs["kube"], name) }

// components lists all components in the order in which they start.
func (c *Cluster) components() []component {
	all := c.controlPlane()
	for i := 1; i <= c.cfg.Nodes; i++ {
		all = append(all, c.nodeComponents(i)...)
	}
	return append(all, c.addons()...)
}

func (c *Cluster) component(name string) (component, error) {
	name = strings.TrimPrefix(name, "kube-")
	var names []string
	for _, comp := range c.components() {
		if comp.name == name {
			return comp, nil
		}
		names = append(names, comp.name)
	}
	return component{}, fmt.Errorf("cluster %s has no component %q: have %s", c.cfg.Name, name, strings.Join(names, ", "))
}

// StartComponent starts a component that was stopped, and waits until it serves.
// Components are etcd, apiserver, controller-manager, scheduler and coredns,
// cert-manager where it was asked for, and node1/containerd, node1/kubelet and
// node1/kube-proxy for each node.
func (c *Cluster) StartComponent(ctx context.Context, name string) error {
	comp, err := c.component(name)
	if err != nil {
		return err
	}
	return c.start(ctx, comp)
}

// StopComponent sends a signal to a component and waits for its end. It stays
// stopped until it is started.
func (c *Cluster) StopComponent(ctx context.Context, name string, sig syscall.Signal) error {
	comp, err := c.component(name)
	if err != nil {
		return err
	}
	return c.machine(comp.machine).Stop(ctx, comp.name, sig)
}

// Component is what runs, or should.
type Component struct {
	Name    string
	Running bool
	Exit    string // How it ended.
	Log     string // The path of its log.
}

// Components lists all components of the cluster.
func (c *Cluster) Components(ctx context.Context) ([]Component, error) {
	states := map[string]machine.State{}
	for _, m := range c.machines() {
		list, err := c.machine(m).Status(ctx)
		if err != nil {
			return nil, err
		}
		for _, s := range list {
			states[s.Name] = s
		}
	}
	var all []Component
	for _, comp := range c.components() {
		s := states[comp.name]
		all = append(all, Component{comp.name, s.Running, s.Exit, c.log(comp.name)})
	}
	return all, nil
}

// start starts a component unless it runs, and waits until it serves.
func (c *Cluster) start(ctx context.Context, comp component) error {
	err := c.machine(comp.machine).Start(ctx, machine.Process{Name: comp.name, Args: comp.args, Log: c.log(comp.name)})
	if err != nil || comp.ready == nil {
		return err
	}
	return c.await(ctx, comp.name+" to serve", serveWithin, comp.ready, comp)
}

// await polls until check succeeds. It gives up when the time is over or when one
// of the components ends, and then shows the last lines of their logs.
func (c *Cluster) await(ctx context.Context, what string, within time.Duration, check func(context.Context) error, comps ...component) error {
	start, said := time.Now(), time.Now()
	for {
		try, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := check(try)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("wait for %s: %w", what, ctx.Err())
		}
		if ended := c.ended(ctx, comps); ended != nil || time.Since(start) > within {
			return fmt.Errorf("wait for %s, %s: %w%s", what, time.Since(start).Round(time.Second), errors.Join(ended, err), c.tails(comps))
		}
		if time.Since(said) > 10*time.Second {
			said = time.Now()
			c.progress.say("still waiting for %s: %s", what, firstLine(err))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// serveWithin is how long a component may take: it has taken 16 s on a busy machine.
const serveWithin = 3 * time.Minute

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// ended says which of the components have ended.
func (c *Cluster) ended(ctx context.Context, comps []component) error {
	var errs []error
	for _, comp := range comps {
		list, err := c.machine(comp.machine).Status(ctx)
		if err != nil {
			return err
		}
		for _, s := range list {
			if s.Name == comp.name && !s.Running {
				errs = append(errs, fmt.Errorf("%s ended: %s", s.Name, s.Exit))
			}
		}
	}
	return errors.Join(errs...)
}

// tails is the end of the components' logs.
func (c *Cluster) tails(comps []component) string {
	var b strings.Builder
	for _, comp := range comps {
		_, _ = fmt.Fprintf(&b, "\n--- the end of %s\n%s", c.log(comp.name), tail(c.log(comp.name), 15))
	}
	return b.String()
}

// tail returns the last lines of a file.
func tail(path string, n int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
