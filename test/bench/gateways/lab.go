package gateways

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"sluice.io/sluice/test/cluster"
	"sluice.io/sluice/test/cluster/build"
	"sluice.io/sluice/test/install"
)

// Lab is a cluster with all that the products need, and neither of them.
type Lab struct {
	Cluster *cluster.Cluster

	api      *api
	products []product
	built    *build.EnvoyGateway
}

// NewLab builds what is missing, and loads it on the cluster's nodes.
func NewLab(ctx context.Context, c *cluster.Cluster, progress func(format string, args ...any)) (*Lab, error) {
	cache, err := build.Open(progress)
	if err != nil {
		return nil, err
	}
	built, err := cache.EnvoyGateway(ctx)
	if err != nil {
		return nil, err
	}
	release, err := install.Prepare(ctx, c, writer(progress))
	if err != nil {
		return nil, err
	}
	for _, archive := range built.Archives {
		if err := c.LoadImage(ctx, archive); err != nil {
			return nil, err
		}
	}
	a, err := newAPI(c)
	if err != nil {
		return nil, err
	}
	return &Lab{Cluster: c, api: a, built: built, products: []product{
		&sluice{release: release, cluster: c, api: a},
		&envoyGateway{built: built, helm: release, cluster: c, api: a},
	}}, nil
}

// writer sends lines to a function.
type writer func(format string, args ...any)

func (w writer) Write(b []byte) (int, error) {
	w("%s", b)
	return len(b), nil
}

// Close ends the lab's connections. The cluster stays.
func (l *Lab) Close() { l.api.close() }

// Measure measures each case: all passes of it, with the products in turn. Results
// so far come with an error, too, and what was not measured to the end is named in
// them. What fails for one product is in its sample.
func (l *Lab) Measure(ctx context.Context, opts Options) (*Result, error) {
	result := &Result{EnvoyGateway: l.built.Version}
	var version struct{ GitVersion string }
	if err := l.api.get(ctx, "/version", &version); err != nil {
		return nil, err
	}
	result.Kubernetes = version.GitVersion
	filled := &content{cluster: l.Cluster, api: l.api}
	if err := filled.begin(ctx); err != nil {
		return nil, err
	}
	return result, result.measure(ctx, l.trials(filled, opts))
}

// trials are all that there are to be, in order.
func (l *Lab) trials(filled *content, opts Options) []*trial {
	var all []*trial
	for _, plan := range opts.Plans {
		for pass := range plan.Passes {
			for i := range l.products {
				p := l.products[(i+pass)%len(l.products)]
				if opts.Only == "" || p.name() == opts.Only {
					all = append(all, &trial{content: filled, product: p, opts: opts, sample: &Sample{Case: plan.Case, Product: p.name(), Pass: pass}})
				}
			}
		}
	}
	return all
}

// measure makes trials until one leaves something behind, or the time is up. Those
// that were not begun are told.
func (r *Result) measure(ctx context.Context, trials []*trial) (err error) {
	defer func() {
		for _, t := range trials[len(r.Samples):] {
			t.sample.Failed = fmt.Sprintf("not begun: %v", err)
			r.Samples = append(r.Samples, t.sample)
		}
	}()
	for i, t := range trials {
		c := t.sample.Case
		if err := t.fill(ctx, c); err != nil {
			return fmt.Errorf("write %s to the API server: %w", c, err)
		}
		t.opts.Progress("trial %d of %d: %s, pass %d, %s", i+1, len(trials), c, t.sample.Pass+1, t.product.name())
		r.Samples = append(r.Samples, t.sample)
		ended := t.end(ctx, t.run(ctx), trials[i+1:])
		t.opts.Done(r)
		if ctx.Err() != nil {
			ended = context.Cause(ctx) // whatever else was under way then
		}
		if ended != nil {
			return fmt.Errorf("%s with %s: %w", t.product.name(), c, ended)
		}
	}
	return nil
}

// fill writes to the API server what a case has, unless it is there.
func (t *trial) fill(ctx context.Context, c Case) error {
	if t.Case == c {
		return nil
	}
	start := time.Now()
	err := t.become(ctx, c)
	t.opts.Progress("%s: written in %s", c, time.Since(start).Round(time.Second))
	return err
}

// end notes why a trial failed, if it did, and removes its product, as far as it is
// in the way of those that come.
func (t *trial) end(ctx context.Context, failed error, coming []*trial) error {
	if ctx.Err() != nil {
		failed = context.Cause(ctx)
	}
	if failed != nil {
		t.sample.Failed = failed.Error()
		t.opts.Progress("%s with %s failed: %v", t.product.name(), t.Case, failed)
	}
	if ctx.Err() != nil {
		return failed // the cluster goes as a whole
	}
	if failed != nil {
		t.keepLogs(ctx)
	}
	if len(coming) == 0 && !t.opts.Keep {
		return nil
	}
	begin := time.Now()
	steps := []func(context.Context) error{t.removeGateways, t.product.uninstall}
	if len(coming) == 0 || coming[0].sample.Gateways == t.Gateways { // else the routes are made anew
		steps = append(steps, t.reset)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return fmt.Errorf("remove it: %w", err)
		}
	}
	t.opts.Progress("  removed: %s", time.Since(begin).Round(100*time.Millisecond))
	return nil
}

// keepLogs keeps what may tell why a trial failed, for as long as the temporary
// folder lasts.
func (t *trial) keepLogs(ctx context.Context) {
	text := ""
	for _, args := range [][]string{{"get", "pods", "-A", "-o", "wide"}, {"-n", namespace, "get", "gateways", "-o", "yaml"}} {
		out, err := t.cluster.Kubectl(ctx, args...)
		text += fmt.Sprintf("%v: %v\n%s\n", args, err, out)
	}
	for space, selector := range map[string]string{
		install.Namespace: "app.kubernetes.io/name=sluice", envoyGatewaySpace: "control-plane=envoy-gateway",
	} {
		out, err := t.cluster.Kubectl(ctx, "-n", space, "logs", "-l", selector, "--prefix", "--tail=200", "--all-containers")
		text += fmt.Sprintf("logs of %s: %v\n%s\n", space, err, out)
	}
	file := filepath.Join(os.TempDir(), fmt.Sprintf("bench-failed-%s-%d.log", t.product.name(), t.sample.Routes))
	if err := os.WriteFile(file, []byte(text), 0o600); err == nil {
		t.opts.Progress("logs: %s", file)
	}
}
