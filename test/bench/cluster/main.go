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
	"regexp"
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
	within                  time.Duration
	prepare, quick, publish bool
	report                  string
}

// errTimeUp ends a run that may take no longer; what it has measured counts.
var errTimeUp = errors.New("the time for the run is up")

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
	flag.DurationVar(&o.within, "within", 0, "how long the run may take, but for its end: what is not measured by then is told, and the rest written")
	flag.IntVar(&o.Edits, "edits", 30, "edits of each kind in a pass")
	flag.DurationVar(&o.Budget, "budget", 40*time.Second, "how long the edits of a pass may take, but for the first few")
	flag.DurationVar(&o.Churn, "churn", 10*time.Second, "how long routes change, in the first pass, while a steady client asks")
	flag.IntVar(&o.Rollouts, "rollouts", 1, "how often backends are replaced, in the first pass, while a steady client asks")
	flag.Func("only", "measure this product alone: sluice, or envoy-gateway", func(s string) error {
		o.Only = s
		if !slices.Contains(gateways.Products(), s) {
			return fmt.Errorf("it is none of %v", gateways.Products())
		}
		return nil
	})
	flag.BoolVar(&o.prepare, "prepare", false, "only build what is measured and what it runs on, so that a run afterwards builds nothing")
	flag.BoolVar(&o.quick, "quick", false, "only prove that everything works, in little time; the figures mean nothing")
	flag.BoolVar(&o.Keep, "keep", false, "leave the cluster up")
	flag.BoolVar(&o.publish, "publish", true, "write the figures into docs/benchmarks.md")
	flag.StringVar(&o.report, "report", "", "measure nothing: show and publish this file of raw figures")
	list := flag.String("cases", "100,1000,5000,1000/1000", "what to measure: ROUTES, or ROUTES/GATEWAYS, and x how often each product is started anew")
	flag.Parse()
	if o.quick {
		*list, o.Edits, o.Churn, o.Rollouts = "50,60/20", 3, 5*time.Second, 1
	}
	var err error
	if o.Plans, err = plans(*list); err != nil {
		fmt.Fprintln(os.Stderr, "bench: -cases:", err)
		os.Exit(2)
	}
	return &o
}

// plans reads "ROUTES", "ROUTES/GATEWAYS" and either with "xPASSES", with commas
// between.
func plans(list string) ([]gateways.Plan, error) {
	var all []gateways.Plan
	for field := range strings.SplitSeq(list, ",") {
		form := regexp.MustCompile(`^(\d+)(?:/(\d+))?(?:x(\d+))?$`).FindStringSubmatch(field)
		if form == nil {
			return nil, fmt.Errorf("%q is no case: want ROUTES, ROUTES/GATEWAYS, or either with xPASSES", field)
		}
		numbers := [3]int{1, 1, 1}
		for i, digits := range form[1:] {
			if digits == "" {
				continue
			}
			n, err := strconv.Atoi(digits)
			if err != nil || n < 1 {
				return nil, fmt.Errorf("%q is no case: %s is no number of anything", field, digits)
			}
			numbers[i] = n
		}
		p := gateways.Plan{Case: gateways.Case{Routes: numbers[0], Gateways: numbers[1]}, Passes: numbers[2]}
		if p.Routes < p.Gateways {
			return nil, fmt.Errorf("%q is no case: each Gateway has a route", field)
		}
		all = append(all, p)
	}
	return all, nil
}

var begin = time.Now()

func progress(format string, args ...any) {
	text := strings.TrimRight(fmt.Sprintf(format, args...), "\n")
	fmt.Fprintf(os.Stderr, "%s %s\n", time.Since(begin).Round(time.Second), text)
}

func run(ctx context.Context, o *options) (err error) {
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
	if o.prepare {
		return prepare(ctx, cache)
	}
	results := &report.ClusterResults{Taken: begin, Quick: o.quick}
	if o.within > 0 {
		limited, cancel := context.WithTimeoutCause(ctx, o.within-time.Since(begin), errTimeUp)
		defer cancel()
		ctx = limited
	}
	o.Done = func(r *gateways.Result) {
		results.Gateways = r
		if _, err := save(cache, results); err != nil {
			progress("%v", err)
		}
	}
	c, err := bringUp(ctx, o)
	if err != nil {
		return err
	}
	if !o.Keep {
		defer func() { err = errors.Join(err, cluster.Down(context.WithoutCancel(ctx), o.name, writer{})) }()
	}
	err = measure(ctx, c, cache, o, results)
	if results.Gateways == nil {
		return err
	}
	return errors.Join(err, tell(cache, docs, o, results))
}

// save writes the raw figures so far.
func save(cache *build.Cache, results *report.ClusterResults) (string, error) {
	results.Took = time.Since(results.Taken).Round(time.Second).String()
	return results.Save(filepath.Join(cache.Repo(), ".cache", "bench"))
}

// tell shows what was measured, and writes it into the document: what failed is
// named there.
func tell(cache *build.Cache, docs string, o *options, results *report.ClusterResults) error {
	file, err := save(cache, results)
	fmt.Print(results.Text())
	fmt.Println("\nraw figures:", file)
	if err != nil || o.quick || !o.publish {
		return err
	}
	return results.Publish(docs)
}

// prepare builds all that a run needs.
func prepare(ctx context.Context, cache *build.Cache) error {
	if err := cluster.Build(ctx, writer{}); err != nil {
		return err
	}
	_, ours := cache.Sluice(ctx)
	_, theirs := cache.EnvoyGateway(ctx)
	return errors.Join(ours, theirs)
}

// bringUp brings the cluster up. One that is taken down afterwards is nobody
// else's before; one that is kept may have been kept by an earlier run.
func bringUp(ctx context.Context, o *options) (*cluster.Cluster, error) {
	up := cluster.Create
	if o.Keep {
		up = cluster.Up
	}
	return up(ctx, cluster.Config{
		Name: o.name, Ranges: cluster.RangesOf(o.number), Images: []string{"echo-basic"}, GatewayAPI: "experimental", KubeProxy: cluster.NFTables, Progress: writer{},
	})
}

// measure measures on a cluster. Results so far come with an error, too.
func measure(ctx context.Context, c *cluster.Cluster, cache *build.Cache, o *options, results *report.ClusterResults) error {
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
