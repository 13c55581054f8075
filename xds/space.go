package xds

import (
	"cmp"

	"sluice.io/sluice/model"
	"sluice.io/sluice/xds/translate"
)

// space is a network namespace with workloads in it: one, if they are pods; the
// node's own may have several, told apart by their cgroups. It has one listener,
// whose name and path are the mount of the first of them by name: of several
// listeners on one port the kernel would give each a share of the connections.
type space struct {
	members map[model.WorkloadKey]*model.Workload
	// listener is the mount that the listener was made from, empty before the first.
	listener string
}

// residence is a workload's stay in a network namespace.
type residence struct {
	workload model.WorkloadKey
	cookie   uint64
}

// workloads takes in workloads that are new or changed, and notes those that are
// to leave.
func (p *plan) workloads(changed map[model.WorkloadKey]*model.Workload, c *change) {
	touched := map[uint64]bool{}
	for k, w := range changed {
		old := p.pods[k]
		if old != nil {
			touched[old.Place.Cookie] = true
		}
		// Envoy must not be told of one where it cannot listen: the thread that
		// fails to bind in another network namespace stays there (docs/decisions/0025).
		if w == nil || w.Place == nil || w.Place.Mount == "" || w.Place.Unready {
			if old != nil {
				p.leaving.workloads[k] = true
			}
			continue
		}
		p.enter(k, w)
		touched[w.Place.Cookie] = true
	}
	for cookie := range touched {
		p.serve(cookie, c)
	}
}

// enter makes a workload a member of its network namespace. Another one that it
// was in before keeps it until it is retired.
func (p *plan) enter(k model.WorkloadKey, w *model.Workload) {
	cookie := w.Place.Cookie
	if old := p.pods[k]; old != nil && old.Place.Cookie != cookie {
		p.leaving.moved[residence{k, old.Place.Cookie}] = true
	}
	p.stay(func(l *leaving) { delete(l.moved, residence{k, cookie}) })
	p.stay(func(l *leaving) { delete(l.workloads, k) })
	p.pods[k] = w
	if p.spaces[cookie] == nil {
		p.spaces[cookie] = &space{members: map[model.WorkloadKey]*model.Workload{}}
	}
	p.spaces[cookie].members[k] = w
}

// serve makes the listener of a network namespace; also when it is the right one
// already: Envoy may have rejected it. Another one in its place goes when it is
// retired: both take connections in between.
func (p *plan) serve(cookie uint64, c *change) {
	s := p.spaces[cookie]
	var first *model.Workload
	for k, w := range s.members {
		if p.leaves(k, cookie) {
			continue
		}
		if first == nil || compareWorkloads(w.Key, first.Key) < 0 {
			first = w
		}
	}
	if first == nil {
		return
	}
	if s.listener != "" && s.listener != first.Place.Mount {
		p.leaving.mounts[s.listener] = true
	}
	s.listener = first.Place.Mount
	p.stay(func(l *leaving) { delete(l.mounts, s.listener) })
	c.put(listeners, s.listener, translate.Pod(first.Place), first.Origin)
}

// leaves tells whether a workload is about to leave a network namespace.
func (p *plan) leaves(k model.WorkloadKey, cookie uint64) bool {
	stay := residence{k, cookie}
	return p.leaving.workloads[k] || p.due.workloads[k] || p.leaving.moved[stay] || p.due.moved[stay]
}

func compareWorkloads(a, b model.WorkloadKey) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// dropWorkloads removes what is leaving, and the listeners that nobody is left
// for or that were replaced.
func (p *plan) dropWorkloads(l *leaving, c *change) {
	touched := map[uint64]bool{}
	for r := range l.moved {
		p.drop(r, touched)
	}
	for k := range l.workloads {
		if w := p.pods[k]; w != nil {
			p.drop(residence{k, w.Place.Cookie}, touched)
			delete(p.pods, k)
		}
	}
	for cookie := range touched {
		s := p.spaces[cookie]
		if len(s.members) > 0 {
			p.serve(cookie, c)
			delete(l.mounts, s.listener)
			continue
		}
		delete(p.spaces, cookie)
		l.mounts[s.listener] = true
	}
	for mount := range p.leaving.mounts { // what serve has just replaced
		l.mounts[mount] = true
		delete(p.leaving.mounts, mount)
	}
	for mount := range l.mounts {
		c.remove(listeners, mount)
	}
}

func (p *plan) drop(r residence, touched map[uint64]bool) {
	if s := p.spaces[r.cookie]; s != nil {
		delete(s.members, r.workload)
		touched[r.cookie] = true
	}
}
