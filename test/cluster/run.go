package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice.io/sluice/test/cluster/machine"
)

// run boots the machines and starts all components; it returns when every node is
// Ready and DNS answers. What doesn't wait for each other starts together.
func (c *Cluster) run(ctx context.Context) error {
	if err := c.writeCorefile(); err != nil {
		return err
	}
	g, together := errgroup.WithContext(ctx)
	apiUp := make(chan struct{})
	g.Go(func() error { return c.runControl(together, apiUp) })
	for i := 1; i <= c.cfg.Nodes; i++ {
		g.Go(func() error { return c.runNode(together, i, apiUp) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return c.awaitNodes(ctx)
}

// runControl boots the control plane and starts what it runs. It closes apiUp
// when the API server serves.
func (c *Cluster) runControl(ctx context.Context, apiUp chan<- struct{}) error {
	if err := c.boot(ctx, machine.Spec{Hostname: controlName}); err != nil {
		return err
	}
	for _, comp := range c.controlPlane() {
		if err := c.start(ctx, comp); err != nil {
			return err
		}
		if comp.name == "apiserver" {
			c.progress.say("API server serves")
			close(apiUp)
		}
	}
	c.progress.say("control plane runs, DNS answers")
	return nil
}

// runNode boots node i, starts what it runs, and loads the images.
func (c *Cluster) runNode(ctx context.Context, i int, apiUp <-chan struct{}) error {
	name := nodeName(i)
	if err := c.writeNode(i); err != nil {
		return err
	}
	if err := c.bootNode(ctx, i); err != nil {
		return err
	}
	comps := c.nodeComponents(i)
	if err := c.start(ctx, comps[0]); err != nil { // containerd
		return err
	}
	if err := c.importImage(ctx, name, c.state.Programs["image pause"]); err != nil {
		return err
	}
	// A kubelet that finds no API server tries again after a while only.
	select {
	case <-apiUp:
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, comp := range comps[1:] {
		if err := c.start(ctx, comp); err != nil {
			return err
		}
	}
	for _, image := range c.cfg.Images {
		if image == "pause" {
			continue
		}
		if err := c.importImage(ctx, name, c.state.Programs["image "+image]); err != nil {
			return err
		}
	}
	c.progress.say("%s runs, with %d images", name, len(c.cfg.Images))
	return nil
}

// StopNode ends all of node i at once, as a power failure does. Its disk stays.
func (c *Cluster) StopNode(ctx context.Context, i int) error {
	if err := killCgroup(c.NodeCgroup(i)); err != nil {
		return fmt.Errorf("stop %s: %w", nodeName(i), err)
	}
	// Cgroups don't outlive a power failure: the kubelet would look for their containers.
	return c.await(ctx, nodeName(i)+" to end", 30*time.Second, func(context.Context) error {
		for _, dir := range c.state.Cgroups {
			if err := removeBelow(filepath.Join(dir, nodeName(i))); err != nil {
				return err
			}
		}
		if pids := processesIn(c.NodeCgroup(i)); len(pids) > 0 {
			return fmt.Errorf("processes %s run", pids)
		}
		return nil
	})
}

// StartNode boots node i after StopNode, and returns when its components run.
func (c *Cluster) StartNode(ctx context.Context, i int) error {
	if err := c.bootNode(ctx, i); err != nil {
		return err
	}
	for _, comp := range c.nodeComponents(i) {
		if err := c.start(ctx, comp); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) bootNode(ctx context.Context, i int) error {
	return c.boot(ctx, machine.Spec{
		Hostname: nodeName(i), Layered: nodeLayered, Private: nodePrivate, Shown: nodeShown,
	})
}

// boot boots the machine that is called as its host name is.
func (c *Cluster) boot(ctx context.Context, spec machine.Spec) error {
	spec.Dir, spec.Netns = c.dir(spec.Hostname), c.place(spec.Hostname).Netns
	for _, dir := range c.state.Cgroups {
		spec.Cgroups = append(spec.Cgroups, filepath.Join(dir, spec.Hostname))
	}
	_, err := machine.Boot(ctx, c.state.Programs["machine"], spec)
	return err
}

// InNode runs a program within node i, in all of its namespaces, and returns what
// it printed. The path of the program is absolute.
func (c *Cluster) InNode(ctx context.Context, i int, args ...string) (string, error) {
	return c.machine(nodeName(i)).Run(ctx, args...)
}

// LoadImage imports an image's archive on each node.
func (c *Cluster) LoadImage(ctx context.Context, archive string) error {
	path, err := filepath.Abs(archive)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return err
	}
	if strings.HasPrefix(path, "/run/") {
		return fmt.Errorf("%s: nodes have a /run of their own: put the archive elsewhere", path)
	}
	g, ctx := errgroup.WithContext(ctx)
	for i := 1; i <= c.cfg.Nodes; i++ {
		g.Go(func() error { return c.importImage(ctx, nodeName(i), path) })
	}
	return g.Wait()
}

func (c *Cluster) importImage(ctx context.Context, node, path string) error {
	_, err := c.machine(node).Run(ctx, hostPrograms["ctr"], "-a", containerdSocket, "-n", "k8s.io", "images", "import", path)
	if err != nil {
		return fmt.Errorf("import %s: %w", filepath.Base(path), err)
	}
	return nil
}

// awaitNodes waits until all nodes take pods.
func (c *Cluster) awaitNodes(ctx context.Context) error {
	var kubelets []component
	for i := 1; i <= c.cfg.Nodes; i++ {
		kubelets = append(kubelets, c.nodeComponents(i)[1])
	}
	if err := c.await(ctx, "all nodes to be Ready", 3*time.Minute, c.nodesReady, kubelets...); err != nil {
		return err
	}
	c.progress.say("%d nodes are Ready", c.cfg.Nodes)
	return nil
}

// nodesReady looks at all nodes, and at what a first pod needs.
func (c *Cluster) nodesReady(ctx context.Context) error {
	var nodes nodeList
	if err := c.Get(ctx, "/api/v1/nodes", &nodes); err != nil {
		return err
	}
	var errs []error
	if len(nodes.Items) < c.cfg.Nodes {
		errs = append(errs, fmt.Errorf("%d of %d nodes are registered", len(nodes.Items), c.cfg.Nodes))
	}
	for _, n := range nodes.Items {
		errs = append(errs, n.ready())
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return c.Get(ctx, "/api/v1/namespaces/default/serviceaccounts/default", nil)
}
