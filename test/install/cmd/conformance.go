package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"sluice.io/sluice/test/cluster"
	"sluice.io/sluice/test/install"
)

// The cluster of `conformance -up`, which is taken down afterwards: its name and
// addresses are no other cluster's, above all not those of one that a user made.
const (
	ownName   = "slcf"
	ownNumber = 28
)

// conformanceRun is what the command line asks for.
type conformanceRun struct {
	suite     install.Suite
	name      string // Of the cluster.
	installed bool
	up        bool
	times     int
}

func parseConformance(name string, args []string) (*conformanceRun, error) {
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	r := &conformanceRun{suite: install.Suite{Output: os.Stdout}}
	s := &r.suite
	flags.StringVar(&s.Kind, "kind", "gateway", "which profiles: gateway, mesh or all")
	flags.StringVar(&s.Run, "run", "", "only tests that match the `pattern`; no report then")
	flags.BoolVar(&s.Keep, "keep", false, "leave what all tests share, so that the next run starts sooner")
	flags.StringVar(&s.Report, "report", "", "write the report to the `file`")
	flags.BoolVar(&r.installed, "installed", false, "take what is installed, rather than the working tree")
	flags.BoolVar(&r.up, "up", false, "bring up a cluster for it, called "+ownName+" unless -name says otherwise, and take that down afterwards")
	flags.IntVar(&r.times, "times", 1, "how often to run the suite; the first failure ends it")
	flags.DurationVar(&s.Timeout, "timeout", time.Hour, "how long the suite may take")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	s.Args = flags.Args()
	if strings.Contains(s.Run, "/") {
		return nil, fmt.Errorf("-run %s: want a pattern of test names, such as HTTPRouteSimple", s.Run)
	}
	if r.up && r.installed {
		return nil, errors.New("-up -installed: nothing is installed on a cluster that is about to be brought up")
	}
	r.name = cmp.Or(name, userName)
	if r.up {
		r.name = cmp.Or(name, ownName)
	}
	return r, nil
}

func conformance(ctx context.Context, name string, args []string) error {
	r, err := parseConformance(name, args)
	if err != nil {
		return err
	}
	if r.up {
		return r.onItsOwn(ctx)
	}
	c, err := open(ctx, r.name)
	if err != nil {
		return err
	}
	return r.on(ctx, c)
}

// onItsOwn brings up a cluster, and takes it down whatever happens. What may
// explain a failure is kept.
func (r *conformanceRun) onItsOwn(ctx context.Context) error {
	c, err := cluster.Create(ctx, cluster.Config{
		Name: r.name, Ranges: cluster.RangesOf(ownNumber), GatewayAPI: "experimental", Progress: os.Stdout,
	})
	if err != nil {
		return err
	}
	err = r.on(ctx, c)
	if err != nil && ctx.Err() == nil {
		err = errors.Join(err, keepLogs(ctx, c))
	}
	return errors.Join(err, c.Down(context.WithoutCancel(ctx)))
}

// keepLogs is an error that says where the logs are.
func keepLogs(ctx context.Context, c *cluster.Cluster) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	dir, err := install.SaveLogs(ctx, c)
	if dir == "" {
		return err
	}
	if err != nil {
		return fmt.Errorf("logs, events and statuses are in %s, but for: %w", dir, err)
	}
	return fmt.Errorf("logs, events and statuses are in %s", dir)
}

// on installs the working tree unless told otherwise, and runs the suite.
func (r *conformanceRun) on(ctx context.Context, c *cluster.Cluster) error {
	if !r.installed {
		if err := installAll(ctx, c); err != nil {
			return err
		}
	}
	for i := range r.times {
		s := r.suite
		// What all tests share stays for the next run: a namespace that is being removed
		// takes nothing up. After the last run a cluster of our own goes anyway.
		s.Keep = s.Keep || r.up || i < r.times-1
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
