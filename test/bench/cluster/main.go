// Command cluster measures Sluice's gateways on a real cluster, which it brings up
// for it, against Envoy Gateway: `make bench-cluster`. It needs root.
// docs/benchmarks.md tells the method.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sluice.io/sluice/test/bench/gateways"
	"sluice.io/sluice/test/bench/product"
	"sluice.io/sluice/test/bench/report"
	"sluice.io/sluice/test/cluster"
	"sluice.io/sluice/test/cluster/build"
)

type options struct {
	name   string
	number int
	gateways.Options
	quick, keep, publish bool
	report               string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second interrupt ends it at once
	if err := run(ctx, flags()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func flags() *options {
	o := options{Options: gateways.Options{Progress: progress}}
	flag.StringVar(&o.name, "name", "slcb", "the cluster's name")
	flag.IntVar(&o.number, "ranges", 27, "the number of the cluster's ranges of addresses")
	flag.IntVar(&o.Passes, "passes", 2, "how often each product is started anew in a case")
	flag.IntVar(&o.Edits, "edits", 30, "edits of each kind in a pass")
	flag.DurationVar(&o.Budget, "budget", time.Minute, "how long the edits of a pass may take, but for the first few")
	flag.DurationVar(&o.Churn, "churn", 10*time.Second, "how long routes change, in the first pass, while a steady client asks")
	flag.IntVar(&o.Rollouts, "rollouts", 1, "how often backends are replaced, in the first pass, while a steady client asks")
	flag.Func("only", "measure this product alone: sluice, or envoy-gateway", func(s string) error {
		o.Only = s
		if !slices.Contains(gateways.Products(), s) {
			return fmt.Errorf("it is none of %v", gateways.Products())
		}
		return nil
	})
	flag.BoolVar(&o.quick, "quick", false, "only prove that everything works, in little time; the figures mean nothing")
	flag.BoolVar(&o.keep, "keep", false, "leave the cluster up")
	flag.BoolVar(&o.publish, "publish", true, "write the figures into docs/benchmarks.md")
	flag.StringVar(&o.report, "report", "", "measure nothing: show and publish this file of raw figures")
	o.Cases = []gateways.Case{{Gateways: 1, Routes: 100}, {Gateways: 1, Routes: 1000}, {Gateways: 1000, Routes: 1000}, {Gateways: 1, Routes: 5000}}
	flag.Func("cases", "how many routes on how many Gateways (default 100,1000,1000/1000,5000)", func(s string) (err error) {
		o.Cases, err = cases(s)
		return err
	})
	flag.Parse()
	if o.quick {
		o.Cases = []gateways.Case{{Gateways: 1, Routes: 50}, {Gateways: 20, Routes: 60}}
		o.Passes, o.Edits, o.Churn, o.Rollouts = 1, 3, 5*time.Second, 1
	}
	return &o
}

// cases reads "ROUTES" and "ROUTES/GATEWAYS", with commas between.
func cases(list string) ([]gateways.Case, error) {
	var all []gateways.Case
	for field := range strings.SplitSeq(list, ",") {
		routes, gates, several := strings.Cut(field, "/")
		if !several {
			gates = "1"
		}
		r, errRoutes := strconv.Atoi(routes)
		g, errGates := strconv.Atoi(gates)
		if errRoutes != nil || errGates != nil || g < 1 || r < g {
			return nil, fmt.Errorf("%q is no case: want ROUTES or ROUTES/GATEWAYS", field)
		}
		all = append(all, gateways.Case{Gateways: g, Routes: r})
	}
	return all, nil
}

var begin = time.Now()

func progress(format string, args ...any) {
	text := strings.TrimRight(fmt.Sprintf(format, args...), "\n")
	fmt.Fprintf(os.Stderr, "%s %s\n", time.Since(begin).Round(time.Second), text)
}

func run(ctx context.Context, o *options) error {
	cache, err := build.Open(progress)
	if err != nil {
		return err
	}
	docs := filepath.Join(cache.Repo(), "docs")
	if o.report != "" {
		results, err := report.LoadCluster(o.report)
		if err != nil {
			return err
		}
		fmt.Print(results.Text())
		return results.Publish(docs)
	}
	results := &report.ClusterResults{Taken: time.Now(), Quick: o.quick}
	err = measure(ctx, cache, o, results)
	results.Took = time.Since(results.Taken).Round(time.Second).String()
	if results.Gateways == nil {
		return err
	}
	fmt.Print(results.Text())
	file, failed := results.Save(filepath.Join(cache.Repo(), ".cache", "bench"))
	fmt.Println("\nraw figures:", file)
	if err := errors.Join(err, failed); err != nil || o.quick || !o.publish {
		return err
	}
	return results.Publish(docs)
}

// measure brings a cluster up, and measures on it. Results so far come with an
// error, too.
func measure(ctx context.Context, cache *build.Cache, o *options, results *report.ClusterResults) (err error) {
	out := writer{}
	if !o.keep {
		defer func() { err = errors.Join(err, cluster.Down(context.WithoutCancel(ctx), o.name, out)) }()
	}
	c, err := cluster.Up(ctx, cluster.Config{
		Name: o.name, Ranges: cluster.RangesOf(o.number), Images: []string{"echo-basic"}, GatewayAPI: "experimental", KubeProxy: cluster.NFTables, Progress: out,
	})
	if err != nil {
		return err
	}
	lab, err := gateways.NewLab(ctx, c, progress)
	if err != nil {
		return err
	}
	defer lab.Close()
	results.Machine = report.ThisMachine(product.EnvoyVersion, cache.Version(ctx))
	results.Gateways, err = lab.Measure(ctx, o.Options)
	return err
}

// writer sends what the cluster tells to the progress.
type writer struct{}

func (writer) Write(b []byte) (int, error) {
	progress("%s", b)
	return len(b), nil
}
