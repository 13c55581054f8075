package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"

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
	check   bool
	// How long Envoy serves on and drains when it is stopped.
	delay, drain time.Duration
}

func envoyCommand() *cobra.Command {
	o := &envoyFlags{cfg: agent.Config{Version: version}}
	cmd := &cobra.Command{
		Use:   "envoy",
		Short: "Run and mind the Envoy of this node (in Kubernetes)",
		Long: `Runs the stock Envoy, starts it again when it ends, and drains it when told to
stop. Its configuration comes from "sluice agent" through the run directory,
whether that is up already or comes later: so neither restarts with the other.

When another "sluice envoy" starts with the same run directory (the next version's
pod), its Envoy takes over the listening sockets of this one's, by hot restart: no
connection is refused, and those that are there have the drain time to end. When
none does, this one's serves on for a moment as not ready, so that the others get
what comes, then drains, and ends.`,
		Example: "  sluice envoy --envoy /usr/local/bin/envoy\n  sluice envoy --check",
		Args:    noArguments(seeHelp),
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringVar(&o.cfg.EnvoyBinary, "envoy", os.Getenv("SLUICE_ENVOY"), "the stock Envoy's binary (default: $SLUICE_ENVOY, envoy beside sluice, or envoy in the PATH)")
	f.IntVar(&o.cfg.EnvoyConcurrency, "envoy-concurrency", runtime.NumCPU(), "number of Envoy's worker threads")
	f.Var((*heapSize)(&o.cfg.EnvoyMaxHeap), "envoy-max-heap", "size of Envoy's heap from which it gives memory back (90 %) and refuses new requests (97 %), such as 512Mi; 0 for no limit")
	f.IntVar(&o.cfg.EnvoyUID, "envoy-uid", envoyUID, "user and group id that Envoy runs as; nobody else should have it")
	f.StringVar(&o.address, "health-address", "127.0.0.1:15021", "address for probes, /livez and /readyz; empty for none")
	f.DurationVar(&o.delay, "drain-delay", 5*time.Second, "how long Envoy serves on, not ready, before it drains when it is stopped")
	f.DurationVar(&o.drain, "drain-time", 30*time.Second, "how long connections have to end when Envoy is replaced or stopped")
	f.BoolVar(&o.check, "check", false, "only tell whether the Envoy that serves is of this container")
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
	if err := fillPaths(&o.cfg, true); err != nil {
		return err
	}
	if o.check {
		return envoy.Serves(ctx, o.cfg.Envoy())
	}
	for _, dir := range []string{o.cfg.RunDir, o.cfg.EnvoyDir(), o.cfg.EnvoyCgroup()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("create %s: %w", dir, err)
		}
	}
	cfg := o.cfg.Envoy()
	cfg.DrainDelay, cfg.DrainTime, cfg.Container = o.delay, o.drain, !o.leave
	var supervisor *envoy.Supervisor
	if o.address != "" {
		cfg.OnDuty = func(ctx context.Context) error {
			return answerProbes(ctx, o.address, health.Checks{Live: supervisor.Alive, Ready: ready(supervisor), More: envoyMetrics(supervisor)}, cfg.Log)
		}
	}
	supervisor = envoy.New(cfg)
	return supervisor.Run(ctx)
}

// answerProbes answers until ctx is done. While two supervisors hand over, the
// other one may have the address for a moment.
func answerProbes(ctx context.Context, address string, c health.Checks, log *slog.Logger) error {
	for told := false; ctx.Err() == nil; {
		err := health.Serve(ctx, address, c)
		if !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
		if !told {
			log.Warn("the address for probes is another's; waiting for it", "error", err)
			told = true
		}
		select {
		case <-ctx.Done():
		case <-time.After(probesRetry):
		}
	}
	return nil
}

const probesRetry = 100 * time.Millisecond

// ready tells that Envoy has its configuration, from an agent, and serves.
func ready(s *envoy.Supervisor) func() error {
	return func() error {
		st := s.Status()
		switch {
		case st.Stopping:
			return errors.New("about to be stopped: Envoy serves on, and nothing new is to come")
		case st.Live:
			return nil
		case st.Problem != "":
			return errors.New(st.Problem)
		}
		return errors.New("no configuration has come to Envoy yet")
	}
}
