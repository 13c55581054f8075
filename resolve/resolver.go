package resolve

import (
	"net/netip"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/backend"
	"sluice.io/sluice/resolve/claim"
	"sluice.io/sluice/resolve/gateway"
	"sluice.io/sluice/resolve/index"
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/resolve/pool"
	"sluice.io/sluice/resolve/reference"
	"sluice.io/sluice/resolve/release"
	"sluice.io/sluice/resolve/workload"
	"sluice.io/sluice/source"
)

// Resolver remembers the objects that it was given and what it made of them.
// It is not safe for concurrent use.
type Resolver struct {
	services  map[object.Name]*service
	slices    map[object.Name]*backend.Slice
	routes    map[model.ObjectRef]*route
	workloads map[object.Name]*workload.Workload

	slicesOf index.Of[object.Name, object.Name] // service -> its EndpointSlices
	boundTo  index.Of[group, *route]            // service and scope -> routes that have it as a parent
	scopesOf index.Of[object.Name, string]      // service -> scopes that have routes
	usersOf  index.Of[object.Name, *route]      // service -> routes that send or mirror to it

	classes      map[string]*gatewayClass // ours
	gateways     map[object.Name]*gateway.Gateway
	listenerSets map[object.Name]*gateway.ListenerSet
	namespaces   map[string]map[string]string // labels
	policies     map[object.Name]*policy
	parameters   map[string]error // GatewayParameters, and what is wrong with them
	installed    release.Installed

	vips       *claim.Book[netip.Addr]    // cluster addresses, of services
	places     *claim.Book[string]        // network namespaces and cgroups, of workloads
	portClaims *claim.Book[gateway.Claim] // ports, of gateways

	pools       *pool.Pools
	grants      *reference.Grants
	credentials *reference.Credentials

	frames     map[object.Name]*gateway.Frame            // of the gateways that are ours
	parentAt   map[model.ObjectRef]*gateway.Parent       // Gateways and ListenerSets of ours
	listenerAt map[gateway.ListenerKey]*gateway.Listener // their listeners
	losers     map[gateway.ListenerKey]map[*route]loss   // routes that others shut out
	portsOf    map[object.Name]index.Set[model.PortKey]  // gateway -> ports that were made
	hostsAt    index.Of[model.PortKey, model.HostKey]    // port -> hosts that were made

	classMembers index.Of[string, object.Name]         // GatewayClass -> Gateways
	setsOf       index.Of[object.Name, object.Name]    // Gateway -> ListenerSets
	setsIn       index.Of[string, object.Name]         // namespace -> ListenerSets
	balancers    index.Of[object.Name, object.Name]    // Gateway -> Services that stand before it
	policiesOf   index.Of[object.Name, object.Name]    // Service -> BackendTLSPolicies
	guestsOf     index.Of[model.ObjectRef, *route]     // parent -> routes that name it
	guestsFrom   index.Of[string, *route]              // namespace -> routes that name gateways
	guests       index.Of[gateway.ListenerKey, *route] // listener -> routes that are on it
	buckets      index.Of[bucket, *route]              // domain of a listener -> routes
	ranks        map[gateway.ListenerKey]rankCount     // listener -> routes by kind
	senders      map[object.Name]map[object.Name]int   // Service -> gateways, by the number of routes

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
	service object.Name
	scope   string
}

// New returns a resolver that knows no objects.
func New() *Resolver {
	return &Resolver{
		services:     map[object.Name]*service{},
		slices:       map[object.Name]*backend.Slice{},
		routes:       map[model.ObjectRef]*route{},
		workloads:    map[object.Name]*workload.Workload{},
		slicesOf:     index.Of[object.Name, object.Name]{},
		boundTo:      index.Of[group, *route]{},
		scopesOf:     index.Of[object.Name, string]{},
		usersOf:      index.Of[object.Name, *route]{},
		classes:      map[string]*gatewayClass{},
		gateways:     map[object.Name]*gateway.Gateway{},
		listenerSets: map[object.Name]*gateway.ListenerSet{},
		namespaces:   map[string]map[string]string{},
		policies:     map[object.Name]*policy{},
		parameters:   map[string]error{},
		installed:    release.Installed{},
		vips:         claim.NewBook[netip.Addr](),
		places:       claim.NewBook[string](),
		portClaims:   claim.NewBook[gateway.Claim](),
		pools:        pool.New(),
		grants:       reference.NewGrants(),
		credentials:  reference.NewCredentials(),
		frames:       map[object.Name]*gateway.Frame{},
		parentAt:     map[model.ObjectRef]*gateway.Parent{},
		listenerAt:   map[gateway.ListenerKey]*gateway.Listener{},
		losers:       map[gateway.ListenerKey]map[*route]loss{},
		portsOf:      map[object.Name]index.Set[model.PortKey]{},
		hostsAt:      index.Of[model.PortKey, model.HostKey]{},
		classMembers: index.Of[string, object.Name]{},
		setsOf:       index.Of[object.Name, object.Name]{},
		setsIn:       index.Of[string, object.Name]{},
		balancers:    index.Of[object.Name, object.Name]{},
		policiesOf:   index.Of[object.Name, object.Name]{},
		guestsOf:     index.Of[model.ObjectRef, *route]{},
		guestsFrom:   index.Of[string, *route]{},
		guests:       index.Of[gateway.ListenerKey, *route]{},
		buckets:      index.Of[bucket, *route]{},
		ranks:        map[gateway.ListenerKey]rankCount{},
		senders:      map[object.Name]map[object.Name]int{},
		made:         model.NewMesh(),
		frontends:    map[group][]model.FrontendKey{},
		statuses:     map[model.ObjectRef]*model.Status{},
	}
}

// Update takes the new state of changed objects, nil for those that are gone,
// and returns what that changes in the mesh and in the statuses. Objects of
// kinds that it does not know are ignored.
func (r *Resolver) Update(changed map[model.ObjectRef]*source.Object) Result {
	u := newRound(r)
	for ref, obj := range changed {
		u.ingest(ref, obj)
	}
	u.settleVIPs()
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
	u.credentials.Emit(u.made, u.delta)
	u.pools.Emit(u.made, u.delta)
	u.updateStatuses()
	r.made.Apply(u.delta)
	return Result{Delta: u.delta, Statuses: u.reported}
}
