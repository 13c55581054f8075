package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"sluice.io/sluice/agent"
	"sluice.io/sluice/envoy"
	"sluice.io/sluice/observe/health"
)

// envoyFlags are those of the supervisor of a cluster node's Envoy.
type envoyFlags struct {
	cfg     agent.Config
	logs    logFlags
	address string
	leave   bool
}

func envoyCommand() *cobra.Command {
	o := &envoyFlags{cfg: agent.Config{Version: version}}
	cmd := &cobra.Command{
		Use:   "envoy",
		Short: "Run and mind the Envoy of this node (in Kubernetes)",
		Long: `Runs the stock Envoy, starts it again when it ends, and drains it when told to
stop. Its configuration comes from "sluice agent" through the run directory,
whether that is up already or comes later: so neither restarts with the other.`,
		Example: "  sluice envoy --envoy /usr/local/bin/envoy",
		Args:    noArguments(seeHelp),
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringVar(&o.cfg.EnvoyBinary, "envoy", os.Getenv("SLUICE_ENVOY"), "the stock Envoy's binary (default: $SLUICE_ENVOY, envoy beside sluice, or envoy in the PATH)")
	f.IntVar(&o.cfg.EnvoyConcurrency, "envoy-concurrency", runtime.NumCPU(), "number of Envoy's worker threads")
	f.IntVar(&o.cfg.EnvoyUID, "envoy-uid", envoyUID, "user and group id that Envoy runs as; nobody else should have it")
	f.StringVar(&o.address, "health-address", "127.0.0.1:15021", "address for probes, /livez and /readyz; empty for none")
	f.BoolVar(&o.leave, "leave-running", false, "leave Envoy running when stopped; the next run takes it over")
	o.logs.add(cmd)
	addPathFlags(cmd, &o.cfg.Paths, false)
	cmd.Flags().StringVar(&o.cfg.CgroupRoot, "cgroup-root", "", "cgroup2 folder below which Envoy gets a cgroup of its own (default: the root of the cgroup2 hierarchy)")
	return cmd
}

func (o *envoyFlags) run(ctx context.Context) error {
	syscall.Umask(0o022)
	var err error
	if o.cfg.Log, err = o.logs.logger(); err != nil {
		return err
	}
	if err := fillPaths(&o.cfg); err != nil {
		return err
	}
	for _, dir := range []string{o.cfg.RunDir, o.cfg.EnvoyDir(), o.cfg.EnvoyCgroup()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("create %s: %w", dir, err)
		}
	}
	supervisor := envoy.New(o.cfg.Envoy())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return supervisor.Run(ctx) })
	if o.address != "" {
		group.Go(func() error { return health.Serve(ctx, o.address, health.Checks{Ready: ready(supervisor)}) })
	}
	err = group.Wait()
	if !o.leave {
		o.cfg.Log.Info("stopping Envoy; it drains first")
		err = errors.Join(err, envoy.Stop(o.cfg.Envoy()))
	}
	return err
}

// ready tells that Envoy has its configuration, from an agent, and serves.
func ready(s *envoy.Supervisor) func() error {
	return func() error {
		st := s.Status()
		switch {
		case st.Live:
			return nil
		case st.Problem != "":
			return errors.New(st.Problem)
		}
		return errors.New("no configuration has come to Envoy yet")
	}
}
