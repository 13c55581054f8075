package resolve

import (
	"net/netip"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// Resolver remembers the objects that it was given and what it made of them.
// It is not safe for concurrent use.
type Resolver struct {
	services  map[name]*service
	slices    map[name]*slice
	routes    map[model.ObjectRef]*route
	workloads map[name]*workload

	slicesOf  index[name, name]       // service -> its EndpointSlices
	boundTo   index[group, *route]    // service and scope -> routes that have it as a parent
	scopesOf  index[name, string]     // service -> scopes that have routes
	usersOf   index[name, *route]     // service -> routes that send or mirror to it
	claimants index[netip.Addr, name] // cluster address -> services that want it
	holders   map[netip.Addr]name     // cluster address -> the service that has it
	tenants   index[string, name]     // a workload's place -> workloads that declare it

	made      *model.Mesh                   // all that was emitted so far
	frontends map[group][]model.FrontendKey // what each group made
	statuses  map[model.ObjectRef]*model.Status
}

// Result is what one update changed.
type Result struct {
	Delta *model.Delta
	// Statuses holds the changed statuses; nil means that there is no longer
	// anything to say of the object.
	Statuses map[model.ObjectRef]*model.Status
}

// group is one service with the routes of one scope: the unit in which
// frontends are made.
type group struct {
	service name
	scope   string
}

// New returns a resolver that knows no objects.
func New() *Resolver {
	return &Resolver{
		services:  map[name]*service{},
		slices:    map[name]*slice{},
		routes:    map[model.ObjectRef]*route{},
		workloads: map[name]*workload{},
		slicesOf:  index[name, name]{},
		boundTo:   index[group, *route]{},
		scopesOf:  index[name, string]{},
		usersOf:   index[name, *route]{},
		claimants: index[netip.Addr, name]{},
		holders:   map[netip.Addr]name{},
		tenants:   index[string, name]{},
		made:      model.NewMesh(),
		frontends: map[group][]model.FrontendKey{},
		statuses:  map[model.ObjectRef]*model.Status{},
	}
}

// Update takes the new state of changed objects, nil for those that are gone,
// and returns what that changes in the mesh and in the statuses. Objects of
// kinds that it does not know are ignored.
func (r *Resolver) Update(changed map[model.ObjectRef]*source.Object) Result {
	u := &round{
		Resolver:  r,
		delta:     model.NewDelta(),
		reported:  map[model.ObjectRef]*model.Status{},
		addresses: set[netip.Addr]{},
		places:    set[string]{},
		touched:   map[name]*service{},
		endpoints: set[name]{},
		compile:   set[*route]{},
		attach:    set[*route]{},
		groups:    set[group]{},
		report:    set[model.ObjectRef]{},
	}
	for ref, obj := range changed {
		u.ingest(ref, obj)
	}
	u.settleClaims()
	u.settleWorkloads()
	u.updateServices()
	u.updateEndpoints()
	u.updateRoutes()
	u.updateFrontends()
	u.updateStatuses()
	r.made.Apply(u.delta)
	return Result{Delta: u.delta, Statuses: u.reported}
}

// round is one update under way: what has been marked as touched, and what
// came of it.
type round struct {
	*Resolver
	delta    *model.Delta
	reported map[model.ObjectRef]*model.Status

	addresses set[netip.Addr]      // cluster addresses whose claimants changed
	places    set[string]          // workloads' places whose tenants changed
	touched   map[name]*service    // services touched, as they were before the round
	endpoints set[name]            // services whose endpoints may have changed
	compile   set[*route]          // routes to compile
	attach    set[*route]          // routes to attach anew
	groups    set[group]           // frontends to make
	report    set[model.ObjectRef] // objects whose status may have changed
}

// touch marks a service, and remembers what it was before this round.
func (u *round) touch(n name) {
	if _, ok := u.touched[n]; ok {
		return
	}
	var before *service
	if s := u.services[n]; s != nil {
		c := *s
		before = &c
	}
	u.touched[n] = before
}
