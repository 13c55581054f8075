// Command bench measures Sluice on this machine, against what it could be
// replaced by: `make bench`. It needs root. docs/benchmarks.md tells the method.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sluice.io/sluice/test/bench/control"
	"sluice.io/sluice/test/bench/datapath"
	"sluice.io/sluice/test/bench/load"
	"sluice.io/sluice/test/bench/product"
	"sluice.io/sluice/test/bench/report"
	"sluice.io/sluice/test/bench/rig"
)

type options struct {
	rounds, passes, edits int
	only                  []string
	routes                []int
	quick, hold           bool
	report                string
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
	var o options
	flag.IntVar(&o.rounds, "rounds", 11, "rounds of the data path")
	flag.IntVar(&o.passes, "passes", 3, "passes of the control path; each starts every case anew")
	flag.IntVar(&o.edits, "edits", 12, "edits of a case in each pass")
	only := flag.String("only", "", "what to measure: control, datapath, or beginnings of subjects' names, with commas between")
	flag.BoolVar(&o.quick, "quick", false, "only prove that everything works, in little time; the figures mean nothing")
	flag.BoolVar(&o.hold, "hold", false, "set up what -only names and wait for an interrupt, for a look or a profile")
	flag.StringVar(&o.report, "report", "", "measure nothing: show and publish this file of raw figures")
	o.routes = []int{100, 1000, 5000}
	flag.Func("routes", "numbers of routes, with commas between (default 100,1000,5000)", func(s string) (err error) {
		o.routes, err = numbers(s)
		return err
	})
	flag.Parse()
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	if o.quick {
		o.rounds, o.passes, o.edits = 1, 1, 3
	}
	return &o
}

func run(ctx context.Context, o *options) error {
	root, err := repository()
	if err != nil {
		return err
	}
	docs := filepath.Join(root, "docs")
	if o.report != "" {
		results, err := report.Load(o.report)
		if err != nil {
			return err
		}
		fmt.Print(results.Text())
		return results.Publish(docs)
	}
	results, err := measure(ctx, root, o)
	if results != nil {
		fmt.Print(results.Text())
		file, failed := results.Save(filepath.Join(root, ".cache", "bench"))
		err = errors.Join(err, failed)
		fmt.Println("\nraw figures:", file)
	}
	if err != nil || o.quick || len(o.only) > 0 {
		return err
	}
	return results.Publish(docs)
}

func repository() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w (run it as `go run ./test/bench` in there)", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// measure runs what is asked for. Results so far come with an error, too.
func measure(ctx context.Context, root string, o *options) (_ *report.Results, err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("the benchmarks make network namespaces: run them as root")
	}
	binaries, err := product.Find(root)
	if err != nil {
		return nil, err
	}
	ground, err := rig.New(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ground.Close()) }()
	programs, err := load.Build(filepath.Join(ground.Dir, "load"))
	if err != nil {
		return nil, err
	}
	version, err := binaries.Version()
	if err != nil {
		return nil, err
	}
	results := &report.Results{Taken: time.Now(), Quick: o.quick, Machine: report.ThisMachine(product.EnvoyVersion, version)}
	if o.asks("datapath") {
		lab := &datapath.Lab{Rig: ground, Binaries: binaries, Programs: programs}
		results.DataPath, err = lab.Measure(ctx, o.subjects(), o.dataPath())
	}
	if err == nil && o.asks("control") {
		lab := &control.Lab{Rig: ground, Binaries: binaries, Programs: programs}
		results.Control, err = lab.Measure(ctx, o.control())
	}
	results.Took = time.Since(results.Taken).Round(time.Second).String()
	return results, err
}

// asks reports whether a part, or something in it, is to be measured.
func (o *options) asks(part string) bool {
	if len(o.only) == 0 || slices.Contains(o.only, part) {
		return true
	}
	return part == "datapath" && len(o.subjects()) > 0
}

func (o *options) subjects() []datapath.Subject {
	if slices.Contains(o.only, "datapath") {
		return datapath.Subjects
	}
	return datapath.Select(o.only)
}

func (o *options) dataPath() datapath.Options {
	opts := datapath.Options{Rounds: o.rounds, Window: 700 * time.Millisecond}
	if o.quick {
		opts.Window = 200 * time.Millisecond
	}
	if o.hold {
		opts.Hold = hold
	}
	opts.Progress = func(round int) { fmt.Fprintf(os.Stderr, "data path: round %d of %d\n", round+1, opts.Rounds) }
	return opts
}

func (o *options) control() control.Options {
	opts := control.Options{Passes: o.passes, Edits: o.edits}
	sizes := o.routes
	if o.quick {
		sizes = sizes[:min(2, len(sizes))]
	}
	for _, layout := range []control.Layout{control.FilePerRoute, control.OneFile} {
		for _, n := range sizes {
			opts.Cases = append(opts.Cases, control.Case{Layout: layout, Routes: n})
		}
	}
	if o.hold {
		opts.Hold = hold
	}
	opts.Progress = func(pass int, c control.Case) {
		fmt.Fprintf(os.Stderr, "control path: pass %d of %d, %s\n", pass+1, opts.Passes, c)
	}
	return opts
}

// hold waits for an interrupt.
func hold(ctx context.Context, c *rig.Cell) {
	fmt.Fprintf(os.Stderr, "set up: cgroup %s, files %s, namespaces %s %s %s; interrupt to end\n", c.Cgroup, c.Dir, c.Node, c.Client, c.Server)
	<-ctx.Done()
}

func numbers(list string) ([]int, error) {
	var all []int
	for field := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no number of routes", field)
		}
		all = append(all, n)
	}
	return all, nil
}
