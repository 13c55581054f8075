package agent

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// loop carries changes from the input to the data path, one at a time and in
// order. It alone writes the state.
func (a *Agent) loop(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	watch := make(chan error, 1)
	var watcher sync.WaitGroup
	defer watcher.Wait()
	defer stop()
	began := time.Now()
	watcher.Go(func() { watch <- a.source.Run(ctx, a.deliver(ctx)) })
	for tick := time.Tick(beatInterval); a.state.starting(); {
		a.pulse.Beat()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-watch:
			return err
		case <-tick: // reading the input may take its time
		case b := <-a.batches:
			a.start(ctx, b, began)
		}
	}

	retry := time.NewTicker(retryInterval)
	defer retry.Stop()
	quiet := time.NewTimer(quietInterval)
	defer quiet.Stop()
	grace := time.NewTimer(graceInterval)
	defer grace.Stop()
	for {
		a.pulse.Beat()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-watch:
			return err
		case b := <-a.batches:
			began := time.Now()
			a.change(ctx, a.resolve(b))
			if len(b.Changed) > 0 {
				a.log.Debug("input changed", "objects", len(b.Changed), "took", time.Since(began).Round(time.Microsecond))
			}
			quiet.Reset(quietInterval)
		case <-a.refresh:
			d := model.NewDelta()
			d.Workloads = a.registry.Refresh()
			a.state.setLost(a.registry.Problems())
			a.change(ctx, d)
		case <-quiet.C:
			a.change(ctx, a.settle())
		case <-grace.C:
			a.retire(ctx)
			grace.Reset(graceInterval)
		case <-retry.C:
			a.retry()
		}
	}
}

// deliver hands batches to the loop, and gives up when it has ended.
func (a *Agent) deliver(ctx context.Context) func(source.Batch) {
	return func(b source.Batch) {
		select {
		case a.batches <- b:
		case <-ctx.Done():
		}
	}
}

// start brings the data path from whatever an earlier run left to the state of
// the input: Envoy first, then the kernel, then what neither needs any more.
func (a *Agent) start(ctx context.Context, loaded source.Batch, began time.Time) {
	a.log.Info("input read", "objects", len(loaded.Changed), "problems", len(loaded.Problems), "took", time.Since(began).Round(time.Millisecond))
	d := a.resolve(loaded)
	a.state.apply(d)
	mesh := a.state.mesh()
	a.awaitEnvoy(ctx)
	a.warm(ctx, mesh.All())
	if err := a.kernel.Sync(mesh); err != nil {
		a.state.setKernelError(err)
		a.log.Error("program the kernel", "err", err, "retry", retryInterval)
	}
	a.tellAddresses(a.addresses.Sync(mesh))
	a.state.setSynced()
	a.log.Info("serving", "services", len(mesh.Frontends), "workloads", len(mesh.Workloads), "took", time.Since(began).Round(time.Millisecond))
}

// awaitEnvoy waits at the start for Envoy to connect, so that the kernel's first
// redirected connection finds it. Its absence must not keep services that stay
// in the kernel from working, so the wait ends.
func (a *Agent) awaitEnvoy(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !a.proxy.Status().Connected {
		select {
		case <-ctx.Done():
			a.log.Warn("Envoy has not connected yet; going on without it")
			return
		case <-tick.C:
		}
	}
}

// resolve turns a batch of changed objects into what changes in the mesh.
// Objects that only moved in their files wait until the input is quiet.
func (a *Agent) resolve(b source.Batch) *model.Delta {
	if b.Problems != nil {
		a.tellProblems(a.state.setProblems(b.Problems), b.Problems)
	}
	for ref := range b.Changed {
		delete(a.moved, ref)
	}
	maps.Copy(a.moved, b.Moved)
	return a.update(b.Changed)
}

// settle tells resolve of the objects that moved. A line added to a file moves
// all objects below it; nothing but file and line changes for them, so an edit
// is in force before they are looked at.
func (a *Agent) settle() *model.Delta {
	moved := a.moved
	a.moved = map[model.ObjectRef]*source.Object{}
	return a.update(moved)
}

func (a *Agent) update(changed map[model.ObjectRef]*source.Object) *model.Delta {
	r := a.resolver.Update(changed)
	a.tellConditions(a.state.setStatuses(r.Statuses), r.Statuses)
	if len(r.Delta.Workloads) > 0 {
		declared := r.Delta.Workloads
		a.state.declare(declared)
		r.Delta.Workloads = a.registry.Update(declared)
	}
	a.state.setLost(a.registry.Problems())
	return r.Delta
}

// change carries one delta to Envoy and the kernel. Envoy can serve before the
// kernel sends it connections, and serves until the kernel has stopped.
func (a *Agent) change(ctx context.Context, d *model.Delta) {
	if d.Empty() {
		return
	}
	began := time.Now()
	a.warm(ctx, d)
	a.state.apply(d)
	if err := a.kernel.Apply(d); err != nil {
		a.state.setKernelError(err)
		a.log.Error("program the kernel", "err", err, "retry", retryInterval)
	}
	a.tellAddresses(a.addresses.Apply(d))
	a.log.Debug("applied", "frontends", len(d.Frontends), "backends", len(d.Backends), "endpoints", len(d.Endpoints),
		"workloads", len(d.Workloads), "took", time.Since(began))
}

// warm gives Envoy the additions. When Envoy does not take them in time the
// kernel is programmed all the same: what needs Envoy then fails, closed, and
// what does not need it must not wait.
func (a *Agent) warm(ctx context.Context, d *model.Delta) {
	err := a.patiently(ctx, func(ctx context.Context) error { return a.proxy.Prepare(ctx, d) })
	if err != nil && ctx.Err() == nil {
		a.log.Warn("Envoy has not taken a change in time; going on", "err", err)
	}
}

// patiently bounds a wait for Envoy. One that did not answer is not waited for
// again until it has taken all that it was sent: a stopped Envoy holds up the
// kernel once, not at every change.
func (a *Agent) patiently(ctx context.Context, wait func(context.Context) error) error {
	bound := warmTimeout
	stuck := a.hung && !a.proxy.Status().Synced
	if stuck {
		bound = 0
	}
	timed, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	err := wait(timed)
	a.hung = stuck || errors.Is(err, context.DeadlineExceeded)
	return err
}

// retire takes from Envoy what the kernel has not sent it for a graceInterval at
// least. What has come back in the meantime stays. An Envoy that does not answer
// keeps everything until it does.
func (a *Agent) retire(ctx context.Context) {
	if a.hung && !a.proxy.Status().Synced {
		return
	}
	if err := a.patiently(ctx, a.proxy.Retire); err != nil && ctx.Err() == nil {
		a.log.Warn("Envoy has not taken removals in time; going on", "err", err)
	}
}

// retry programs the kernel from scratch after a failed update.
func (a *Agent) retry() {
	if !a.state.kernelFailed() {
		return
	}
	err := a.kernel.Sync(a.state.mesh())
	a.state.setKernelError(err)
	if err == nil {
		a.log.Info("kernel programmed after an earlier failure")
	}
}

// tellAddresses logs which addresses could not be taken, or given up. That is
// tried again without us. Addresses come after what is steered at them: before,
// nothing is dialled there.
func (a *Agent) tellAddresses(err error) {
	if err != nil {
		a.log.Error("gateways' addresses", "err", err)
	}
}

// keep copies one map over another, where nil values delete. The work follows
// the change, not what is kept.
func keep[K comparable, V any](to, from map[K]*V) {
	for k, v := range from {
		if v == nil {
			delete(to, k)
		} else {
			to[k] = v
		}
	}
}
