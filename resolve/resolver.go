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

	classes      map[string]*gatewayClass // ours
	gateways     map[name]*gateway
	listenerSets map[name]*listenerSet
	grants       map[name]*grant
	namespaces   map[string]map[string]string       // labels
	stores       map[model.ObjectRef]*source.Object // Secrets and ConfigMaps, unread
	policies     map[name]*policy
	pools        map[string]*pool
	parameters   map[string]error // GatewayParameters, and what is wrong with them

	frames      map[name]*frame                     // of the gateways that are ours
	parentAt    map[model.ObjectRef]*parentFrame    // Gateways and ListenerSets of ours
	listenerAt  map[listenerKey]*listener           // their listeners
	credentials map[credentialKey]*credentials      // those that something refers to
	losers      map[listenerKey]map[*route]loss     // routes that others shut out
	portHolders map[portClaim]name                  // who has a port
	claimed     map[name]set[portClaim]             // what a gateway claims
	portsOf     map[name]set[model.PortKey]         // gateway -> ports that were made
	hostsAt     index[model.PortKey, model.HostKey] // port -> hosts that were made
	askedFor    map[netip.Addr]int                  // addresses of gateways without a controller

	classMembers  index[string, name]            // GatewayClass -> Gateways
	setsOf        index[name, name]              // Gateway -> ListenerSets
	setsIn        index[string, name]            // namespace -> ListenerSets
	balancers     index[name, name]              // Gateway -> Services that stand before it
	grantsOf      index[crossing, name]          // direction -> ReferenceGrants
	crossRoutes   index[crossing, *route]        // direction -> routes that refer so
	crossGateways index[crossing, name]          // direction -> Gateways that refer so
	crossedBy     index[name, crossing]          // Gateway -> directions
	certified     index[credentialKey, name]     // credential -> Gateways
	certifies     index[name, credentialKey]     // Gateway -> credentials
	trustees      index[credentialKey, name]     // credential -> BackendTLSPolicies
	policiesOf    index[name, name]              // Service -> BackendTLSPolicies
	portClaims    index[portClaim, name]         // port -> Gateways that want it
	guestsOf      index[model.ObjectRef, *route] // parent -> routes that name it
	guestsFrom    index[string, *route]          // namespace -> routes that name gateways
	guests        index[listenerKey, *route]     // listener -> routes that are on it
	buckets       index[bucket, *route]          // domain of a listener -> routes
	ranks         map[listenerKey]rankCount      // listener -> routes by kind
	senders       map[name]map[name]int          // Service -> gateways, by the number of routes

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
		services:      map[name]*service{},
		slices:        map[name]*slice{},
		routes:        map[model.ObjectRef]*route{},
		workloads:     map[name]*workload{},
		slicesOf:      index[name, name]{},
		boundTo:       index[group, *route]{},
		scopesOf:      index[name, string]{},
		usersOf:       index[name, *route]{},
		claimants:     index[netip.Addr, name]{},
		holders:       map[netip.Addr]name{},
		tenants:       index[string, name]{},
		classes:       map[string]*gatewayClass{},
		gateways:      map[name]*gateway{},
		listenerSets:  map[name]*listenerSet{},
		grants:        map[name]*grant{},
		namespaces:    map[string]map[string]string{},
		stores:        map[model.ObjectRef]*source.Object{},
		policies:      map[name]*policy{},
		pools:         map[string]*pool{},
		parameters:    map[string]error{},
		frames:        map[name]*frame{},
		parentAt:      map[model.ObjectRef]*parentFrame{},
		listenerAt:    map[listenerKey]*listener{},
		credentials:   map[credentialKey]*credentials{},
		losers:        map[listenerKey]map[*route]loss{},
		portHolders:   map[portClaim]name{},
		claimed:       map[name]set[portClaim]{},
		portClaims:    index[portClaim, name]{},
		portsOf:       map[name]set[model.PortKey]{},
		hostsAt:       index[model.PortKey, model.HostKey]{},
		askedFor:      map[netip.Addr]int{},
		classMembers:  index[string, name]{},
		setsOf:        index[name, name]{},
		setsIn:        index[string, name]{},
		balancers:     index[name, name]{},
		grantsOf:      index[crossing, name]{},
		crossRoutes:   index[crossing, *route]{},
		crossGateways: index[crossing, name]{},
		crossedBy:     index[name, crossing]{},
		certified:     index[credentialKey, name]{},
		certifies:     index[name, credentialKey]{},
		trustees:      index[credentialKey, name]{},
		policiesOf:    index[name, name]{},
		guestsOf:      index[model.ObjectRef, *route]{},
		guestsFrom:    index[string, *route]{},
		guests:        index[listenerKey, *route]{},
		buckets:       index[bucket, *route]{},
		ranks:         map[listenerKey]rankCount{},
		senders:       map[name]map[name]int{},
		made:          model.NewMesh(),
		frontends:     map[group][]model.FrontendKey{},
		statuses:      map[model.ObjectRef]*model.Status{},
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

		gatewaysTouched:    set[name]{},
		portsTouched:       set[name]{},
		claimsTouched:      set[name]{},
		portClaimsTouched:  set[portClaim]{},
		hostsTouched:       set[model.HostKey]{},
		settle:             set[listenerKey]{},
		credentialsTouched: set[credentialKey]{},
		policiesTouched:    set[name]{},
		announce:           set[netip.Addr]{},
	}
	for ref, obj := range changed {
		u.ingest(ref, obj)
	}
	u.settleClaims()
	u.settleWorkloads()
	u.rereadCredentials()
	u.updateGateways()
	u.claimPorts()
	u.settlePortClaims()
	u.updatePolicies()
	u.updateServices()
	u.updateEndpoints()
	u.updateRoutes()
	u.updateFrontends()
	u.settleListeners()
	u.updateHosts()
	u.updatePorts()
	u.emitCredentials()
	u.updateAnnouncements()
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

	gatewaysTouched    set[name]          // gateways to read anew
	portsTouched       set[name]          // gateways whose ports to make
	claimsTouched      set[name]          // gateways whose claims to read anew
	portClaimsTouched  set[portClaim]     // ports whose claimants changed
	hostsTouched       set[model.HostKey] // hosts to make
	settle             set[listenerKey]   // listeners whose routes changed
	credentialsTouched set[credentialKey] // credentials to read or to emit
	policiesTouched    set[name]          // policies to read anew
	announce           set[netip.Addr]    // addresses whose answerers may have changed
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
