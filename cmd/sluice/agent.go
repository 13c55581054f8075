package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"sluice.io/sluice/agent"
	"sluice.io/sluice/netns"
	"sluice.io/sluice/observe/health"
	"sluice.io/sluice/report"
	"sluice.io/sluice/source/kube"
	"sluice.io/sluice/source/kube/kubeconfig"
)

// readsWithin is how long what reads the cluster may stand still: it goes round every ten
// seconds, and hands on to a loop that may have to wait for Envoy.
const readsWithin = 2 * time.Minute

// agentFlags are those of the agent of a cluster's node.
type agentFlags struct {
	cfg     agent.Config
	access  kubeconfig.Access
	logs    logFlags
	copies  string
	address string
	// reads is the pulse of what reads the cluster.
	reads health.Pulse
	// daemonSet has this agent as a pod, in namespace; empty where it is none.
	daemonSet, namespace string
}

func agentCommand() *cobra.Command {
	o := &agentFlags{cfg: agent.Config{Version: version}}
	cmd := &cobra.Command{
		Use:   "agent --node NAME",
		Short: "Serve a cluster's mesh and gateways on this node (in Kubernetes)",
		Long: `Watches the API server, and keeps this node's kernel in line with it, and the
Envoy that "sluice envoy" runs beside it. Pods whose namespace or which
themselves are labelled sluice.io/mesh=enabled become clients of the mesh.

The chart runs it as a DaemonSet. When it stops, in whatever way, traffic goes on
with the last state, which is also kept on disk for a start without the API
server. Only when the API server says that the DaemonSet is gone, or does not
want this node any more, is everything removed from the node.`,
		Example: "  sluice agent --node node1 --kubeconfig /etc/kubernetes/sluice.conf",
		Args:    noArguments(seeHelp),
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringVar(&o.cfg.Node, "node", os.Getenv("NODE_NAME"), "name of this node (default: $NODE_NAME)")
	f.StringVar(&o.copies, "secrets-namespace", copiesNamespace, "namespace of the controller's copies of Secrets and ConfigMaps")
	f.StringVar(&o.cfg.StateDir, "state-dir", "/var/lib/sluice", "folder that keeps the last state for a start without the API server")
	f.StringArrayVar(&o.cfg.RuntimeNetns, "runtime-netns", []string{"/run/netns"}, "folder where the container runtime mounts pods' network namespaces; may be given several times")
	f.IntVar(&o.cfg.EnvoyUID, "envoy-uid", envoyUID, "user and group id that Envoy runs as")
	f.StringVar(&o.address, "health-address", "127.0.0.1:15020", "address for probes, /livez and /readyz; empty for none")
	f.StringVar(&o.daemonSet, "daemonset", "", "name of the DaemonSet of this agent: when that is gone as the agent stops, its traces are removed from the node; empty for never")
	f.StringVar(&o.namespace, "namespace", envOr("POD_NAMESPACE", "sluice-system"), "namespace of the DaemonSet (default: $POD_NAMESPACE)")
	o.logs.add(cmd)
	addServiceFlags(cmd, &o.access)
	addPathFlags(cmd, &o.cfg.Paths, true)
	return cmd
}

func (o *agentFlags) run(ctx context.Context) error {
	if o.cfg.Node == "" {
		return errors.New("which node is this? name it with --node or $NODE_NAME, as the API server does")
	}
	if os.Geteuid() != 0 {
		return errors.New("`sluice agent` programs the kernel: run it as root")
	}
	syscall.Umask(0o022) // no socket or file of ours may be open to others for a moment
	var err error
	if o.cfg.Log, err = o.logs.logger(); err != nil {
		return err
	}
	kube.QuietLibraries(o.cfg.Log)
	if err := fillCgroupRoot(&o.cfg.Paths); err != nil {
		return err
	}
	if o.cfg.Source, err = o.source(); err != nil {
		return err
	}
	a, err := agent.New(o.cfg)
	if err != nil {
		return err
	}
	lock, err := o.cfg.AwaitLock(ctx, lockPatience, func() {
		o.cfg.Log.Info("another agent has this node; waiting for it to end", "run-dir", o.cfg.RunDir)
	})
	if err != nil {
		return err
	}
	defer lock.Unlock()
	return o.serve(ctx, a, lock)
}

// serve runs the agent, and takes it off the node when it is not to come back.
func (o *agentFlags) serve(ctx context.Context, a *agent.Agent, lock *agent.Lock) error {
	place, stop, err := o.watchPlace()
	if err != nil {
		return err
	}
	defer stop()
	config, _, err := o.access.Connect()
	if err != nil {
		return err
	}
	reporter, err := report.New(report.Config{Config: config, Node: o.cfg.Node, Rejected: a.Rejected, Log: o.cfg.Log.With("part", "report")})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.Run(ctx) })
	group.Go(func() error { return reporter.Run(ctx) })
	if o.address != "" {
		group.Go(func() error { return health.Serve(ctx, o.address, o.health(a)) })
	}
	err = group.Wait()
	return errors.Join(err, leave(a.Began(), place, func() error { return o.removeTraces(lock) }))
}

// health is the agent's, which also lives by what reads the cluster.
func (o *agentFlags) health(a *agent.Agent) health.Checks {
	checks := a.Health()
	live := checks.Live
	checks.Live = func() error { return errors.Join(live(), o.reads.Check("the source", readsWithin)) }
	return checks
}

func (o *agentFlags) source() (*kube.Source, error) {
	pods, err := netns.FindKubepods(o.cfg.CgroupRoot)
	if err != nil {
		return nil, err
	}
	config, _, err := o.access.Connect()
	if err != nil {
		return nil, err
	}
	return kube.New(kube.Options{
		Config: config, Pods: true, OfNode: o.cfg.Node, Copies: o.copies, Beat: o.reads.Beat,
		Cgroup:   func(uid string, class kube.QoS) string { return pods.Pod(uid, string(class)) },
		StateDir: o.cfg.StateDir, SecretsDir: filepath.Join(o.cfg.RunDir, "secrets"),
		Log: o.cfg.Log.With("part", "source"),
	})
}
