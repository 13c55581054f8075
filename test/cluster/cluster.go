package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sluice.io/sluice/test/cluster/build"
	"sluice.io/sluice/test/cluster/machine"
	"sluice.io/sluice/test/namespaces"
)

// controlName is the machine of the control plane.
const controlName = "control"

func nodeName(i int) string { return fmt.Sprintf("node%d", i) }

// Cluster is a cluster that runs.
type Cluster struct {
	cfg      Config
	state    state
	progress *progress
}

// ErrUp is Create's when there is a cluster of that name.
var ErrUp = errors.New("it is up already")

// Up brings up a cluster, or finds it up already when its configuration is the
// same. When it fails or is interrupted, it takes down what it made.
func Up(ctx context.Context, cfg Config) (*Cluster, error) { return up(ctx, cfg, false) }

// Create is Up for who takes the cluster down afterwards: one of that name that is
// up already, whole or in part, is somebody else's. That is ErrUp, and it stays.
func Create(ctx context.Context, cfg Config) (*Cluster, error) { return up(ctx, cfg, true) }

func up(ctx context.Context, cfg Config, fresh bool) (*Cluster, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("a cluster is made of namespaces and cgroups: run this as root")
	}
	p := newProgress(cfg.Progress)
	cache, err := build.Open(p.say)
	if err != nil {
		return nil, err
	}
	programs, err := findPrograms(ctx, cache, cfg)
	if err != nil {
		return nil, err
	}
	unlock, err := lockName(ctx, cfg.Name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if fresh {
		if err := refuseUp(ctx, cfg.Name); err != nil {
			return nil, err
		}
	}
	c := &Cluster{cfg: cfg, progress: p}
	switch found, err := c.find(ctx, programs); {
	case err != nil:
		return nil, err
	case found:
		return c, c.resume(ctx)
	}
	if err := c.create(ctx, programs); err != nil {
		why := "it failed"
		if ctx.Err() != nil {
			why = "interrupted"
		}
		p.say("%s: take down what there is of it", why)
		return nil, errors.Join(fmt.Errorf("bring up cluster %s: %w", cfg.Name, err), remove(cfg.Name))
	}
	p.say("up: KUBECONFIG=%s, API at %s in network namespace %s", c.Kubeconfig(), c.URL(), filepath.Base(c.Control().Netns))
	return c, nil
}

// refuseUp returns an error when the cluster is up, also if only some of its
// machines run: whoever has stopped the others may want them back.
func refuseUp(ctx context.Context, name string) error {
	st, err := readState(name)
	if err != nil || st == nil || !st.Whole || len(st.running(ctx)) == 0 {
		return err
	}
	return fmt.Errorf("cluster %s: %w: another process works with it, or one that was killed has left it; `go run ./test/cluster/cmd -name %[1]s down` takes it down",
		name, ErrUp)
}

// find looks for the cluster: true when it is up, whole or with components
// stopped. What is left of one that isn't is removed.
func (c *Cluster) find(ctx context.Context, programs map[string]string) (bool, error) {
	st, err := readState(c.cfg.Name)
	if err != nil || st == nil || !st.Whole || !st.booted(ctx) {
		return false, errors.Join(err, remove(c.cfg.Name))
	}
	if !c.cfg.equal(st.Config) || !maps.Equal(programs, st.Programs) {
		return false, fmt.Errorf("cluster %s is up with another configuration or other programs: take it down first", c.cfg.Name)
	}
	c.state = *st
	return true, nil
}

// resume starts what was stopped of a cluster.
func (c *Cluster) resume(ctx context.Context) error {
	for _, comp := range c.components() {
		if err := c.start(ctx, comp); err != nil {
			return err
		}
	}
	c.progress.say("it is up already")
	return c.awaitNodes(ctx)
}

// create makes a cluster where there is nothing of it.
func (c *Cluster) create(ctx context.Context, programs map[string]string) error {
	cgroups, err := cgroupDirs(c.cfg.Name)
	if err != nil {
		return err
	}
	c.state = state{Config: c.cfg, Programs: programs, Cgroups: cgroups}
	// From here on, whoever takes it down knows what there is.
	if err := c.writeState(); err != nil {
		return err
	}
	if err := os.MkdirAll(c.log(""), 0o755); err != nil {
		return err
	}
	if err := c.writePKI(); err != nil {
		return fmt.Errorf("make certificates: %w", err)
	}
	if err := c.makeNetwork(); err != nil {
		return fmt.Errorf("make the network: %w", err)
	}
	if err := c.makeCgroups(c.machines()); err != nil {
		return err
	}
	c.progress.say("certificates, network, cgroups")
	if err := c.run(ctx); err != nil {
		return err
	}
	if c.cfg.GatewayAPI != "" {
		if err := c.InstallGatewayAPI(ctx, c.cfg.GatewayAPI); err != nil {
			return err
		}
	}
	if c.cfg.CertManager {
		if err := c.installCertManager(ctx); err != nil {
			return err
		}
	}
	c.state.Whole = true
	return c.writeState()
}

// Open finds a cluster that is up, by name; slc when empty.
func Open(ctx context.Context, name string, out io.Writer) (*Cluster, error) {
	if name == "" {
		name = defaultName
	}
	if !nameForm.MatchString(name) {
		return nil, fmt.Errorf("%q is no name of a cluster", name)
	}
	st, err := readState(name)
	if err != nil {
		return nil, err
	}
	if st == nil || !st.Whole || !st.booted(ctx) {
		return nil, fmt.Errorf("cluster %s is not up", name)
	}
	return &Cluster{cfg: st.Config, state: *st, progress: newProgress(out)}, nil
}

// Down takes the cluster down and leaves nothing of it.
func (c *Cluster) Down(ctx context.Context) error { return Down(ctx, c.cfg.Name, c.progress.out) }

// Down takes down the cluster of that name, slc when empty, in whatever state it
// is. None at all is no error.
func Down(ctx context.Context, name string, out io.Writer) error {
	if name == "" {
		name = defaultName
	}
	if !nameForm.MatchString(name) {
		return fmt.Errorf("%q is no name of a cluster", name)
	}
	p := newProgress(out)
	unlock, err := lockName(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	if err := remove(name); err != nil {
		return fmt.Errorf("take down %s: %w", name, err)
	}
	p.say("cluster %s is down", name)
	return nil
}

// remove kills and removes everything of a cluster.
func remove(name string) error {
	dir, cgroups := dirOf(name), []string(nil)
	st, err := readState(name)
	if err == nil && st != nil {
		dir, cgroups = st.Config.Dir, st.Cgroups
	}
	here, err := cgroupDirs(name)
	if err != nil {
		return err
	}
	// Processes first, or the rest would be busy.
	for _, dirs := range [][]string{cgroups, here} {
		if err := removeCgroups(dirs); err != nil {
			return err
		}
	}
	return errors.Join(removeNetns(name), os.RemoveAll(dir), removeState(name))
}

// Name is the cluster's name.
func (c *Cluster) Name() string { return c.cfg.Name }

// Config is what the cluster was brought up with, completed.
func (c *Cluster) Config() Config { return c.cfg }

// Kubeconfig is the path of the administrator's kubeconfig. The API server it
// names is reached from the cluster's places only.
func (c *Cluster) Kubeconfig() string { return c.kubeconfig("admin") }

// URL is the API server's.
func (c *Cluster) URL() string {
	return "https://" + c.cfg.controlAddrs()[0].String() + ":6443"
}

// Control is the control plane's place; it has routes to all nodes and pods.
func (c *Cluster) Control() Place { return c.place(controlName) }

// Node is the place of node i, counted from 1.
func (c *Cluster) Node(i int) Place { return c.place(nodeName(i)) }

// Nodes is the number of nodes.
func (c *Cluster) Nodes() int { return c.cfg.Nodes }

func (c *Cluster) place(name string) Place {
	return Place{name, filepath.Join(namespaces.Dir, c.cfg.Name+"-"+name)}
}

// NodeCgroup is the folder of node i in the cgroup version 2 hierarchy; its pods
// are below kubepods.
func (c *Cluster) NodeCgroup(i int) string { return filepath.Join(c.state.Cgroups[0], nodeName(i)) }

// machines lists all machines, the control plane first.
func (c *Cluster) machines() []string {
	names := []string{controlName}
	for i := 1; i <= c.cfg.Nodes; i++ {
		names = append(names, nodeName(i))
	}
	return names
}

func (c *Cluster) machine(name string) *machine.Machine {
	return &machine.Machine{Dir: c.dir(name)}
}

func (c *Cluster) dir(name string) string { return filepath.Join(c.cfg.Dir, name) }

// log is the path of a component's log, of the folder of logs when there is none.
func (c *Cluster) log(component string) string {
	switch {
	case component == "":
		return c.dir("log")
	case !strings.Contains(component, "/"):
		component = controlName + "/" + component
	}
	return filepath.Join(c.dir("log"), strings.ReplaceAll(component, "/", "-")+".log")
}

// progress prints steps with their times.
type progress struct {
	out   io.Writer
	start time.Time
}

func newProgress(out io.Writer) *progress {
	if out == nil {
		out = io.Discard
	}
	return &progress{out, time.Now()}
}

func (p *progress) say(format string, args ...any) {
	_, _ = fmt.Fprintf(p.out, "[%6.1fs] %s\n", time.Since(p.start).Seconds(), fmt.Sprintf(format, args...))
}
