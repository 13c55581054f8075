// Command cmd installs Sluice on a cluster of test/cluster, and runs the
// conformance suite against it.
//
// It owns the words of the command line. What is installed is package install's.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"sluice.io/sluice/test/cluster"
	"sluice.io/sluice/test/install"
)

const usage = `usage: install [-name slc] COMMAND
  install [HELM FLAGS]    build the image, load it, install the chart or upgrade to it, with addresses for Gateways
  helm ARGS               helm as administrator
  uninstall               remove the release
  conformance [flags] [-- SUITE FLAGS]
                          run the Gateway API's conformance suite; conformance -h lists the flags
The cluster must be up, with the experimental CRDs: make cluster
`

// usageError is a command line that says nothing we know.
type usageError struct{}

func (usageError) Error() string { return usage }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	var exit *exec.ExitError
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.As(err, &exit):
		fmt.Fprintln(os.Stderr, "install:", err)
		os.Exit(exit.ExitCode())
	default:
		fmt.Fprintln(os.Stderr, "install:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("install", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	name := flags.String("name", "slc", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return usageError{}
	}
	command, args := flags.Arg(0), flags.Args()[1:]
	if command == "conformance" {
		return conformance(ctx, *name, args)
	}
	c, err := open(ctx, *name)
	if err != nil {
		return err
	}
	r, err := install.Prepare(ctx, c, os.Stdout)
	if err != nil {
		return err
	}
	switch command {
	case "install":
		return errors.Join(r.Install(ctx, args...), r.Pool(ctx))
	case "helm":
		out, err := r.Helm(ctx, args...)
		fmt.Print(out)
		return err
	case "uninstall":
		return r.Uninstall(ctx)
	}
	return usageError{}
}

func open(ctx context.Context, name string) (*cluster.Cluster, error) {
	c, err := cluster.Open(ctx, name, os.Stdout)
	if err != nil {
		return nil, fmt.Errorf("%w: `make cluster` brings one up", err)
	}
	return c, nil
}

func conformance(ctx context.Context, name string, args []string) error {
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	var s install.Suite
	flags.StringVar(&s.Kind, "kind", "gateway", "which profiles: gateway, mesh or all")
	flags.StringVar(&s.Run, "run", "", "only tests that match the `pattern`; no report then")
	flags.BoolVar(&s.Keep, "keep", false, "leave what all tests share, so that the next run starts sooner")
	flags.StringVar(&s.Report, "report", "", "write the report to the `file`")
	installed := flags.Bool("installed", false, "take what is installed, rather than the working tree")
	up := flags.Bool("up", false, "bring a cluster up for it, and take that down afterwards")
	times := flags.Int("times", 1, "how often to run the suite; the first failure ends it")
	flags.DurationVar(&s.Timeout, "timeout", time.Hour, "how long the suite may take")
	if err := flags.Parse(args); err != nil {
		return err
	}
	s.Args, s.Output = flags.Args(), os.Stdout
	if strings.Contains(s.Run, "/") {
		return fmt.Errorf("-run %s: want a pattern of test names, such as HTTPRouteSimple", s.Run)
	}
	if *up {
		_, err := cluster.Up(ctx, cluster.Config{Name: name, GatewayAPI: "experimental", Progress: os.Stdout})
		defer func() { _ = cluster.Down(context.WithoutCancel(ctx), name, os.Stdout) }()
		if err != nil {
			return err
		}
	}
	c, err := open(ctx, name)
	if err != nil {
		return err
	}
	if !*installed {
		if err := installAll(ctx, c); err != nil {
			return err
		}
	}
	for range *times {
		if err := s.Execute(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// installAll installs the working tree, and waits until it serves.
func installAll(ctx context.Context, c *cluster.Cluster) error {
	r, err := install.Prepare(ctx, c, os.Stdout)
	if err != nil {
		return err
	}
	if err := errors.Join(r.Install(ctx), r.Pool(ctx)); err != nil {
		return err
	}
	return r.Ready(ctx, 2*time.Minute)
}
