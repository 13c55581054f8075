package gateways

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// edit is what is written, and how it shows.
type edit struct {
	kind    Kind
	gateway int
	host    string
	write   func(context.Context) error
	want    func(answer) bool
}

// change is the change of a random route.
func (t *trial) change() edit {
	i := t.random.IntN(t.Routes)
	mark := t.mark()
	return edit{Change, t.gatewayOf(i), t.hostOf(i), func(ctx context.Context) error {
		return t.api.patch(ctx, routesPath+"/"+numbered(i), changed(numbered(i), mark))
	}, marked(mark)}
}

// mark is one that no route had in this trial.
func (t *trial) mark() string {
	t.edits++
	return fmt.Sprintf("edit-%d", t.edits)
}

// add is a new route on the first Gateway, to the Service of a random one.
func (t *trial) add(name string) edit {
	mark, service := t.mark(), numbered(t.random.IntN(t.Routes))
	return edit{Add, 0, hostOf(name, 0), func(ctx context.Context) error {
		return t.api.create(ctx, routesPath, routeObject(name, 0, service, mark))
	}, marked(mark)}
}

// drop is the removal of a route of add.
func (t *trial) drop(name string) edit {
	return edit{Remove, 0, hostOf(name, 0), func(ctx context.Context) error {
		return t.api.remove(ctx, routesPath+"/"+name)
	}, gone}
}

// timeEdits measures how long edits take, while a steady client asks.
func (t *trial) timeEdits(ctx context.Context) error {
	return t.steadily(ctx, Edits, func() error {
		start := time.Now()
		for i := range t.opts.Edits {
			if i >= fewest && time.Since(start) > t.opts.Budget {
				t.opts.Progress("  %d edits of each kind used up the time for them", i)
				return nil
			}
			name := fmt.Sprintf("extra%d", i)
			for _, e := range []edit{t.change(), t.add(name), t.drop(name)} {
				took, err := t.edit(ctx, e, fine)
				if err != nil {
					return err
				}
				t.sample.Edits = append(t.sample.Edits, *took)
			}
		}
		return nil
	})
}

// accountEdits measures the CPU time of changes, less what the product uses when
// nothing changes.
func (t *trial) accountEdits(ctx context.Context) error {
	if err := t.settle(ctx); err != nil {
		return err
	}
	still, seconds, err := t.spent(ctx, func() error { return sleep(ctx, idle) })
	if err != nil {
		return err
	}
	t.sample.IdleCPU = still.times(1 / seconds)
	n := 0
	work, seconds, err := t.spent(ctx, func() error {
		start := time.Now()
		for ; n < t.opts.Edits && (n < fewest || time.Since(start) < t.opts.Budget); n++ {
			if _, err := t.edit(ctx, t.change(), coarse); err != nil {
				return err
			}
		}
		if err := t.settle(ctx); err != nil {
			return err
		}
		return sleep(ctx, chores-time.Since(start)%chores)
	})
	if err != nil {
		return err
	}
	t.sample.EditCPU = work.less(t.sample.IdleCPU, seconds).times(1 / float64(n))
	return nil
}

// spent measures the CPU time that a product uses while f runs, and how long that is.
func (t *trial) spent(ctx context.Context, f func() error) (usage, float64, error) {
	before, err := t.used(ctx)
	if err != nil {
		return nil, 0, err
	}
	begin := time.Now()
	if err := f(); err != nil {
		return nil, 0, err
	}
	after, err := t.used(ctx)
	return after.less(before, 1), time.Since(begin).Seconds(), err
}

// steadily runs f while steady clients ask for the steady route.
func (t *trial) steadily(ctx context.Context, phase Phase, f func() error) error {
	to, err := t.address(ctx, 0)
	if err != nil {
		return err
	}
	s := startSteady(ctx, t.cluster.Control(), to, hostOf(steadyRoute, 0))
	err = f()
	t.sample.Clients[phase] = s.stop()
	return err
}

// churn changes routes faster than anybody waits for: one in five times that of
// the steady clients.
func (t *trial) churn(ctx context.Context) error {
	err := t.steadily(ctx, Churn, func() error {
		start, added, dropped := time.Now(), 0, 0
		for i := 0; time.Since(start) < t.opts.Churn || dropped < added; i++ {
			e := t.change()
			switch {
			case time.Since(start) >= t.opts.Churn:
				e = t.drop(fmt.Sprintf("churn%d", dropped))
				dropped++
			case i%5 == 0 || i%5 == 2:
				e = t.add(fmt.Sprintf("churn%d", added))
				added++
			case i%5 == 4:
				e = t.drop(fmt.Sprintf("churn%d", dropped))
				dropped++
			case i%5 == 1:
				e.write = t.moveSteady([]string{"echo", rolling}[i/5%2], t.mark())
			}
			if err := errors.Join(e.write(ctx), sleep(ctx, breath)); err != nil {
				return err
			}
		}
		return nil
	})
	// All is in force before what comes next is measured.
	return errors.Join(err, t.settle(ctx))
}

// moveSteady leads the steady clients to another Service.
func (t *trial) moveSteady(service, mark string) func(context.Context) error {
	return func(ctx context.Context) error {
		return t.api.patch(ctx, routesPath+"/"+steadyRoute, changed(service, mark))
	}
}

// rollout replaces the steady clients' backends.
func (t *trial) rollout(ctx context.Context) error {
	mark := t.mark()
	move := edit{Change, 0, hostOf(steadyRoute, 0), t.moveSteady(rolling, mark), marked(mark)}
	if _, err := t.edit(ctx, move, fine); err != nil {
		return err
	}
	return t.steadily(ctx, Rollout, func() error {
		for range t.opts.Rollouts {
			if _, err := t.cluster.Kubectl(ctx, "-n", namespace, "rollout", "restart", "deployment/"+rolling); err != nil {
				return err
			}
			if err := t.rolledOut(ctx, rolling); err != nil {
				return err
			}
		}
		return nil
	})
}
