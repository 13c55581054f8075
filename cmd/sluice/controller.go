package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"sluice.io/sluice/controller"
	"sluice.io/sluice/observe/health"
	"sluice.io/sluice/source/kube"
	"sluice.io/sluice/source/kube/kubeconfig"
)

// controllerFlags are those of the controller.
type controllerFlags struct {
	opts    controller.Options
	access  kubeconfig.Access
	logs    logFlags
	address string
	qps     float32
}

func controllerCommand() *cobra.Command {
	o := &controllerFlags{}
	cmd := &cobra.Command{
		Use:   "controller",
		Short: "Write statuses and provision gateways (in Kubernetes)",
		Long: `Writes the statuses of GatewayClasses, Gateways, routes and policies, gives each
Gateway a Service and addresses, and copies the Secrets and ConfigMaps that they
use into the one namespace that agents may read. Of several replicas one leads;
the others wait for its Lease.`,
		Example: "  sluice controller --namespace sluice-system",
		Args:    noArguments(seeHelp),
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	host, _ := os.Hostname() // empty is refused below
	f := cmd.Flags()
	f.StringVar(&o.opts.Namespace, "namespace", envOr("POD_NAMESPACE", "sluice-system"), "namespace of the Lease and of the nodes' Envoys and agents (default: $POD_NAMESPACE)")
	f.StringVar(&o.opts.Identity, "identity", envOr("POD_NAME", host), "name of this replica (default: $POD_NAME, then the host's name)")
	f.StringVar(&o.opts.EnvoyPods, "envoy-pods", "app.kubernetes.io/name=sluice,app.kubernetes.io/component=envoy", "labels of the pods of the nodes' Envoys")
	f.StringVar(&o.opts.AgentPods, "agent-pods", "app.kubernetes.io/name=sluice,app.kubernetes.io/component=agent", "labels of the pods of the nodes' agents")
	f.StringVar(&o.opts.Copies, "secrets-namespace", copiesNamespace, "namespace for copies of Secrets and ConfigMaps")
	f.StringVar(&o.opts.Lease, "lease", "sluice-controller", "name of the Lease")
	f.StringVar(&o.address, "health-address", ":8080", "address for probes and Prometheus, /livez, /readyz and /metrics; empty for none")
	f.Float32Var(&o.qps, "qps", 100, "writes to the API server in a second, at most; twice as many at once")
	o.logs.add(cmd)
	addServiceFlags(cmd, &o.access)
	return cmd
}

func envOr(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

func (o *controllerFlags) run(ctx context.Context) error {
	var err error
	if o.opts.Log, err = o.logs.logger(); err != nil {
		return err
	}
	kube.QuietLibraries(o.opts.Log)
	if o.opts.Config, _, err = o.access.Connect(); err != nil {
		return err
	}
	o.opts.Config.QPS, o.opts.Config.Burst = o.qps, int(2*o.qps)
	c, err := controller.New(o.opts)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.Run(ctx) })
	if o.address != "" {
		group.Go(func() error { return health.Serve(ctx, o.address, c.Health()) })
	}
	return group.Wait()
}
