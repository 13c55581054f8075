package gateways

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// fine is the time between looks while latency is measured, coarse while CPU
	// time is: the looks themselves cost Envoy CPU time.
	fine   = 2 * time.Millisecond
	coarse = 20 * time.Millisecond
	// breath is the pause between edits.
	breath = 200 * time.Millisecond
	// unseen is when an edit counts as lost, unconverged when a start does.
	unseen      = time.Minute
	unconverged = 5 * time.Minute
	// fewest is how many edits of a kind are timed, whatever the budget.
	fewest = 5
	// A product rests when it uses less than quiet CPUs over lull.
	quiet     = 0.1
	lull      = 2 * time.Second
	unsettled = time.Minute
	// chores is Envoy's own period, over whose multiples CPU time is measured; idle
	// for how long without edits.
	chores = 5 * time.Second
	idle   = 2 * chores
	// hasty is how long an answer is waited for while a product starts.
	hasty = 250 * time.Millisecond
)

// trial is one product in one case and pass.
type trial struct {
	*content
	product product
	opts    Options
	sample  *Sample

	addresses map[string]netip.AddrPort // Of Gateways,
	asked     time.Time                 // as they were told then.
	random    *rand.Rand
	edits     int
}

func (t *trial) run(ctx context.Context) error {
	t.random = rand.New(rand.NewPCG(uint64(t.sample.Pass), uint64(t.Routes)))
	t.sample.Clients = map[Phase]*Requests{}
	for _, step := range t.steps() {
		begin := time.Now()
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
		t.opts.Progress("  %s: %s", step.what, time.Since(begin).Round(100*time.Millisecond))
	}
	return nil
}

// step is a part of a trial.
type step struct {
	what string
	do   func(context.Context) error
}

// steps are the parts of a trial. What steady clients see while more than single
// edits happen is counted in the first pass only.
func (t *trial) steps() []step {
	steps := []step{
		{"install", func(ctx context.Context) error { return t.product.install(ctx, t.Case) }},
		{"start", t.start},
		{"time edits", t.timeEdits},
	}
	if t.sample.Pass == 0 {
		steps = append(steps, step{"change routes", t.churn}, step{"replace backends", t.rollout})
	}
	return append(steps, step{"account for CPU time", t.accountEdits}, step{"read memory", t.memory}, step{"ask what Envoy took", t.inspect})
}

// start makes the Gateways, and waits until routes all over are served, and then
// until the product rests.
func (t *trial) start(ctx context.Context) error {
	before, err := t.used(ctx)
	if err != nil {
		return err
	}
	begin := time.Now()
	g, both := errgroup.WithContext(ctx)
	g.Go(func() error { return t.createGateways(both, t.product.name()) })
	g.Go(func() error { return t.converge(both) })
	if err := g.Wait(); err != nil {
		return err
	}
	t.sample.Converged = time.Since(begin).Seconds()
	t.opts.Progress("  converged in %.1f s", t.sample.Converged)
	err = eventually(ctx, "all pods to run", startup, pause, func() error {
		_, err := t.cgroups(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if err := t.settle(ctx); err != nil {
		return err
	}
	t.sample.Settled = time.Since(begin).Seconds()
	after, err := t.used(ctx)
	t.sample.StartCPU = after.less(before, 1)
	return errors.Join(err, t.verify(ctx))
}

// converge waits until up to a hundred routes, spread over all, are served.
func (t *trial) converge(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, unconverged)
	defer cancel()
	c := &connection{from: t.cluster.Control(), patience: hasty}
	defer func() { c.close() }()
	step := max(1, (t.Routes-1)/100)
	for i := t.Routes - 1; i >= 0; i -= step {
		err := eventually(ctx, "route "+t.hostOf(i), unconverged, coarse, func() error {
			to, err := t.address(ctx, t.gatewayOf(i))
			if err != nil {
				return err
			}
			if c.to != to {
				c.close()
				c.to = to
			}
			a, err := c.ask(ctx, t.hostOf(i))
			if err == nil && !marked(firstMark)(a) {
				err = fmt.Errorf("answer %d", a.code)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// address is where a Gateway answers.
func (t *trial) address(ctx context.Context, gateway int) (netip.AddrPort, error) {
	name := gatewayName(gateway)
	if to, ok := t.addresses[name]; ok {
		return to, nil
	}
	if now := time.Now(); t.Gateways == 1 || now.Sub(t.asked) > time.Second { // a long list takes the API server long
		found, err := t.product.where(ctx)
		if err != nil {
			return netip.AddrPort{}, err
		}
		t.addresses, t.asked = found, now
	}
	to, ok := t.addresses[name]
	if !ok {
		return to, fmt.Errorf("gateway %s has no address yet", name)
	}
	return to, nil
}

// settle waits until the product rests. One that never does is measured as it is.
func (t *trial) settle(ctx context.Context) error {
	before, err := t.used(ctx)
	for start := time.Now(); err == nil && time.Since(start) < unsettled; {
		begin := time.Now()
		if err := sleep(ctx, lull); err != nil {
			return err
		}
		var now usage
		if now, err = t.used(ctx); err != nil {
			return err
		}
		if now.less(before, 1).sum() < quiet*time.Since(begin).Seconds() {
			return nil
		}
		before = now
	}
	if err == nil {
		t.opts.Progress("  %s did not come to rest within %s", t.product.name(), unsettled)
	}
	return err
}

// verify checks that every route is served.
func (t *trial) verify(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, unconverged)
	defer cancel()
	c := &connection{from: t.cluster.Control()}
	defer func() { c.close() }()
	for i := range t.Routes {
		to, err := t.address(ctx, t.gatewayOf(i))
		if err != nil {
			return err
		}
		if c.to != to {
			c.close()
			c.to = to
		}
		if s := <-c.watch(ctx, t.hostOf(i), coarse, marked(firstMark)); s.err != nil {
			return s.err
		}
	}
	return nil
}

// edit makes one edit, waits until it is served, and rests.
func (t *trial) edit(ctx context.Context, e edit, interval time.Duration) (*Edit, error) {
	ctx, cancel := context.WithTimeout(ctx, unseen)
	defer cancel()
	to, err := t.address(ctx, e.gateway)
	if err != nil {
		return nil, err
	}
	c := &connection{from: t.cluster.Control(), to: to}
	if _, err := c.ask(ctx, e.host); err != nil {
		return nil, fmt.Errorf("before %s %s: %w", e.kind, e.host, err)
	}
	seen := c.watch(ctx, e.host, interval, e.want)
	begin := time.Now()
	err = e.write(ctx)
	written := time.Since(begin)
	if err != nil {
		cancel()
	}
	s := <-seen
	c.close()
	if err := errors.Join(err, s.err); err != nil {
		return nil, fmt.Errorf("%s %s: %w", e.kind, e.host, err)
	}
	return &Edit{e.kind, written.Seconds(), s.at.Sub(begin).Seconds(), s.failures, s.example}, sleep(ctx, breath)
}
