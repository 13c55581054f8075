package redirect

import (
	"cmp"

	"sluice.io/sluice/bpf"
	"sluice.io/sluice/model"
)

// EnvoyPort is where Envoy listens on the loopback of each workload's network
// namespace for redirected connections; InboundPort is kept free for the server
// side.
const (
	EnvoyPort   = 15001
	InboundPort = 15006
)

func (p *planner) mergeWorkload(key model.WorkloadKey, w *model.Workload) {
	if old := p.workloads[key]; old != nil {
		p.vacate(key, old)
		delete(p.workloads, key)
	}
	if w != nil && w.Place != nil {
		p.occupy(key, w)
		p.workloads[key] = w
	}
}

// entriesOf returns the places that a workload is known by, with what it says
// of each: a workload of the node's own network namespace is known by its
// cgroup, and the namespace only tells that one has to look at cgroups.
func entriesOf(place *model.Place) map[bpf.WorkloadKey]uint16 {
	netns := bpf.WorkloadKey{Id: place.Cookie, Kind: bpf.KindNetns}
	if place.CgroupID == 0 {
		return map[bpf.WorkloadKey]uint16{netns: bpf.WorkloadMeshed}
	}
	return map[bpf.WorkloadKey]uint16{
		netns: bpf.WorkloadShared,
		{Id: place.CgroupID, Kind: bpf.KindCgroup}: bpf.WorkloadMeshed,
	}
}

func (p *planner) occupy(key model.WorkloadKey, w *model.Workload) {
	p.scopeIDs.hold(key.Namespace)
	for place, flags := range entriesOf(w.Place) {
		if p.places[place] == nil {
			p.places[place] = map[model.WorkloadKey]uint16{}
		}
		p.places[place][key] = flags
		p.dirtyPlaces[place] = true
	}
}

func (p *planner) vacate(key model.WorkloadKey, w *model.Workload) {
	p.scopeIDs.release(key.Namespace)
	for place := range entriesOf(w.Place) {
		delete(p.places[place], key)
		if len(p.places[place]) == 0 {
			delete(p.places, place)
		}
		p.dirtyPlaces[place] = true
	}
}

// planPlace writes who is at a place. When two workloads claim the same one, it
// is the first by name's; package netns does not let it come to that.
func (p *planner) planPlace(ops *[]op, place bpf.WorkloadKey) {
	claims := p.places[place]
	if len(claims) == 0 {
		p.have.workloads.drop(ops, phaseDropWorkload, place)
		return
	}
	entry := bpf.Workload{EnvoyPort: toPort(EnvoyPort)}
	for _, key := range sortedKeysFunc(claims, workloadOrder) {
		flags := claims[key]
		if p.workloads[key].Place.Unready { // of one network namespace, they all are
			entry.EnvoyPort = 0
		}
		if flags&bpf.WorkloadMeshed != 0 && entry.Flags&bpf.WorkloadMeshed == 0 {
			entry.Scope = p.scopeIDs.get(key.Namespace)
		}
		entry.Flags |= flags
	}
	p.have.workloads.put(ops, phaseWorkload, place, entry)
}

func workloadOrder(a, b model.WorkloadKey) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}
