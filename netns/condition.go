package netns

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"sluice.io/sluice/model"
)

// condition is whether and where one can listen on the loopback of a workload.
type condition struct {
	noIPv4, noIPv6 bool
	// lacks is why one cannot; nil if one can.
	lacks error
	// served tells that whoever is to listen does.
	served bool
}

// condition is what facts come to. Where an address family is switched off, the
// other one has to do.
func (f facts) condition(d door) condition {
	c := condition{noIPv4: !f.v4.there, noIPv6: !f.v6.there}
	if !f.up || c.noIPv4 && c.noIPv6 {
		return condition{lacks: ErrLoopbackDown}
	}
	if err := cmp.Or(f.v4.taken, f.v6.taken); err != nil {
		c.lacks = fmt.Errorf("%w: port %d: %w", ErrPortTaken, d.port, err)
	}
	c.served = d.port == 0 || (c.noIPv4 || f.v4.served) && (c.noIPv6 || f.v6.served)
	return c
}

// set notes the condition in a place.
func (c condition) set(p *model.Place) {
	p.Unready, p.NoIPv4, p.NoIPv6 = c.lacks != nil, c.noIPv4, c.noIPv6
}

func (c condition) differs(from condition) bool {
	return c.noIPv4 != from.noIPv4 || c.noIPv6 != from.noIPv6 || fmt.Sprint(c.lacks) != fmt.Sprint(from.lacks)
}

// recheckServed is how often a loopback is looked at that is served as it should
// be: it may get another family, or, while who listens there is gone, another
// program may take the port by a way that nobody can forbid.
const recheckServed = 30 * time.Second

// settled tells that there is no need yet to look at the loopback again.
func (p *placement) settled() bool {
	return p.condition.lacks == nil && p.condition.served && time.Since(p.looked) < recheckServed
}

// look finds the condition of a placement as it is now.
func (p *placement) look(d door) (condition, bool) {
	netns, _, err := openNetns(p.workload.Place.Mount)
	if err != nil {
		return condition{}, false
	}
	defer netns.Close()
	f, err := inspect(netns, d)
	if err != nil {
		return condition{}, false
	}
	return f.condition(d), true
}

// changed tells whether a placement's condition is not what it was.
func (p *placement) changed(d door) bool {
	now, ok := p.look(d)
	if ok && !now.differs(p.condition) {
		p.condition, p.looked = now, time.Now() // it may be served now, of which nobody has to be told
		return false
	}
	return ok
}

// attend tells what a workload lacks, and returns it once more when that changes:
// a listener can be made for it now, or cannot.
func (r *Registry) attend(key model.WorkloadKey, p *placement, out map[model.WorkloadKey]*model.Workload) {
	if !p.settled() {
		if now, ok := p.look(r.door()); ok {
			r.reconsider(key, p, now, out)
		}
	}
	if p.condition.lacks == nil {
		delete(r.problems, key)
		return
	}
	err := p.advice()
	if r.problems[key] == nil {
		// Usually for a moment only: whoever made the namespace is at it.
		r.log.Info("the workload cannot be served by Envoy yet", "workload", key, "err", err)
	}
	r.problems[key] = err
}

func (r *Registry) reconsider(key model.WorkloadKey, p *placement, now condition, out map[model.WorkloadKey]*model.Workload) {
	differs := now.differs(p.condition)
	p.condition, p.looked = now, time.Now()
	if !differs {
		return
	}
	again, place := *p.workload, *p.workload.Place
	now.set(&place)
	again.Place = &place
	p.workload = &again
	out[key] = p.workload
	if now.lacks == nil {
		r.log.Info("the workload can be served by Envoy", "workload", key)
	}
}

// advice says what a placement lacks, and what to do.
func (p *placement) advice() error {
	mount := p.workload.Place.Mount
	if errors.Is(p.condition.lacks, ErrPortTaken) {
		show := "-ltnp"
		if errors.Is(p.condition.lacks, errBound) {
			show = "-tnp --bound-inactive"
		}
		return fmt.Errorf("%w: what needs Envoy is refused until it is free: `nsenter --net=%s ss %s` tells whose it is", p.condition.lacks, mount, show)
	}
	return fmt.Errorf("%w: what needs Envoy is refused until it is up: `nsenter --net=%s ip link set lo up`", p.condition.lacks, mount)
}
