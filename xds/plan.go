package xds

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"sluice.io/sluice/model"
	"sluice.io/sluice/xds/translate"
)

// plan is the mesh as Envoy has to know it, with the indexes that make the cost
// of a change follow the change. Additions and changes come by grow; what is to
// go is noted, stays, and goes with shrink. Not safe for concurrent use.
type plan struct {
	opts      translate.Options
	backends  map[model.BackendKey]*model.Backend
	endpoints map[model.BackendKey]*model.Endpoints
	frontends map[model.FrontendKey]*served
	vips      map[netip.AddrPort]map[model.FrontendKey]bool
	dests     map[string]*destination
	usedBy    map[model.BackendKey]map[string]bool
	pods      map[model.WorkloadKey]*model.Workload
	spaces    map[uint64]*space
	gateways  gateways
	secrets   secretBook
	// leaving is what was noted since the last shrink, due what was noted before
	// that and goes with the next.
	leaving, due leaving
	begun        bool
}

// served is a frontend with what was made for it.
type served struct {
	*model.Frontend
	dests  []string
	routes []string
}

// destination is a cluster with the number of its uses by frontends.
type destination struct {
	translate.Destination
	uses int
}

// leaving is what a shrink will remove.
type leaving struct {
	frontends map[model.FrontendKey]bool
	vips      map[netip.AddrPort]map[model.FrontendKey]bool
	backends  map[model.BackendKey]bool
	endpoints map[model.BackendKey]bool
	dests     []string
	routes    map[string]bool
	scopes    map[string]bool
	workloads map[model.WorkloadKey]bool
	moved     map[residence]bool
	mounts    map[string]bool
	ports     map[model.PortKey]bool
	doors     map[translate.Door]model.PortKey
}

func newLeaving() leaving {
	return leaving{
		frontends: map[model.FrontendKey]bool{},
		vips:      map[netip.AddrPort]map[model.FrontendKey]bool{},
		backends:  map[model.BackendKey]bool{},
		endpoints: map[model.BackendKey]bool{},
		routes:    map[string]bool{},
		scopes:    map[string]bool{},
		workloads: map[model.WorkloadKey]bool{},
		moved:     map[residence]bool{},
		mounts:    map[string]bool{},
		ports:     map[model.PortKey]bool{},
		doors:     map[translate.Door]model.PortKey{},
	}
}

func newPlan(o translate.Options) *plan {
	return &plan{
		opts:      o,
		backends:  map[model.BackendKey]*model.Backend{},
		endpoints: map[model.BackendKey]*model.Endpoints{},
		frontends: map[model.FrontendKey]*served{},
		vips:      map[netip.AddrPort]map[model.FrontendKey]bool{},
		dests:     map[string]*destination{},
		usedBy:    map[model.BackendKey]map[string]bool{},
		pods:      map[model.WorkloadKey]*model.Workload{},
		spaces:    map[uint64]*space{},
		gateways:  newGateways(),
		secrets:   newSecretBook(),
		leaving:   newLeaving(),
		due:       newLeaving(),
	}
}

// change is what has to be published: resources to set, and names to remove.
type change struct {
	set [kinds]map[string]*resource
	del [kinds]map[string]bool
	// unfit are the resources that could not be encoded, with the reason.
	unfit map[key]Rejection
}

func newChange() *change {
	c := &change{unfit: map[key]Rejection{}}
	for k := range kinds {
		c.set[k], c.del[k] = map[string]*resource{}, map[string]bool{}
	}
	return c
}

func (c *change) put(k kind, name string, m proto.Message, origin model.Origin, parents ...key) {
	r, err := newResource(k, name, m, origin, parents...)
	if err != nil {
		c.unfit[key{k, name}] = Rejection{Kind: k.String(), Name: name, Origin: origin, Message: err.Error()}
		return
	}
	c.set[k][name] = r
}

func (c *change) remove(k kind, name string) {
	delete(c.set[k], name)
	c.del[k][name] = true
}

// grow takes in what is new or changed, and notes what is to leave.
func (p *plan) grow(d *model.Delta) *change {
	c := newChange()
	p.begin(c)
	touched := map[string]bool{}
	for k, b := range d.Backends {
		p.backend(k, b, touched)
	}
	for k, e := range d.Endpoints {
		p.assign(k, e, c)
	}
	vips := map[netip.AddrPort]bool{}
	for k, f := range d.Frontends {
		p.frontend(k, f, c, touched, vips)
	}
	for vip := range vips {
		p.listen(vip, c)
	}
	p.gateway(d, c, touched)
	for name := range touched {
		p.cluster(name, c)
	}
	p.secretsChanged(d, c)
	p.workloads(d.Workloads, c)
	return c
}

// begin makes, once, what is there whatever the mesh is.
func (p *plan) begin(c *change) {
	if p.begun {
		return
	}
	p.begun = true
	for _, m := range translate.MirrorClusters() {
		c.put(clusters, m.GetName(), m, model.Origin{Rule: -1})
	}
	l := translate.MirrorListener()
	c.put(listeners, l.GetName(), l, model.Origin{Rule: -1})
}

func (p *plan) backend(k model.BackendKey, b *model.Backend, touched map[string]bool) {
	if b == nil {
		p.leaving.backends[k] = true
		return
	}
	p.stay(func(l *leaving) { delete(l.backends, k) })
	p.backends[k] = b
	for name := range p.usedBy[k] {
		touched[name] = true
	}
}

func (p *plan) assign(k model.BackendKey, e *model.Endpoints, c *change) {
	if e == nil {
		p.leaving.endpoints[k] = true
		return
	}
	p.stay(func(l *leaving) { delete(l.endpoints, k) })
	p.endpoints[k] = e
	p.assignments(k, c)
}

// assignments makes anew the endpoints of all clusters that hold the backend.
func (p *plan) assignments(k model.BackendKey, c *change) {
	for name := range p.usedBy[k] {
		p.assignment(p.dests[name], c)
	}
}

// assignment makes the endpoints of a cluster, if Envoy is to ask for them.
func (p *plan) assignment(d *destination, c *change) {
	if !translate.Usable(d.Destination, p.backends) {
		return
	}
	c.put(endpoints, d.Name, translate.Assignment(d.Destination, p.endpoints), p.originOf(d), key{clusters, d.Name})
}

func (p *plan) cluster(name string, c *change) {
	d := p.dests[name]
	c.put(clusters, name, translate.Cluster(d.Destination, p.backends, p.opts), p.originOf(d))
	p.assignment(d, c)
	p.secrets.ask(key{clusters, name}, translate.ClusterSecrets(d.Destination, p.backends))
}

// originOf is the origin of the first backend of a destination that has one.
func (p *plan) originOf(d *destination) model.Origin {
	for _, part := range d.Parts {
		if b := p.backends[part.Backend]; b != nil {
			return b.Origin
		}
	}
	return model.Origin{Rule: -1}
}

// frontend makes the routes of a frontend, and the clusters that they are the
// first to need. A frontend that is gone, or that Envoy has no part in (any
// more), leaves.
func (p *plan) frontend(k model.FrontendKey, f *model.Frontend, c *change, touched map[string]bool, vips map[netip.AddrPort]bool) {
	old := p.frontends[k]
	if f == nil || f.HTTP == nil || len(f.VIPs) == 0 {
		if old != nil {
			p.leaving.frontends[k] = true
		}
		return
	}
	p.stay(func(l *leaving) { delete(l.frontends, k) })
	s := &served{Frontend: f}
	for _, part := range translate.ByFamily(f) {
		p.route(part, s, c, touched, vips)
	}
	if old != nil {
		p.leaving.dests = append(p.leaving.dests, old.dests...)
		p.leaveVIPs(old.Frontend, f)
		for _, name := range old.routes {
			if !slices.Contains(s.routes, name) {
				p.leaving.routes[name] = true
			}
		}
	}
	p.frontends[k] = s
}

// route makes the routes of a frontend's part in one family, and claims the
// part's addresses.
func (p *plan) route(part *model.Frontend, s *served, c *change, touched map[string]bool, vips map[netip.AddrPort]bool) {
	rc, dests := translate.Routes(part)
	for _, d := range dests {
		s.dests = append(s.dests, d.Name)
		p.use(d, touched)
	}
	s.routes = append(s.routes, rc.GetName())
	p.stay(func(l *leaving) { delete(l.routes, rc.GetName()) })
	var parents []key
	for _, addr := range part.VIPs {
		vip := netip.AddrPortFrom(addr.Unmap(), part.Key.Port)
		if p.claim(vip, part.Key) { // a filter chain is made from the key alone
			vips[vip] = true
		}
		parents = append(parents, key{listeners, translate.VIPName(vip)})
	}
	c.put(routes, rc.GetName(), rc, part.Origin, parents...)
}

// use counts one more use of a destination, and makes it when it is the first, or
// has other parts than before.
func (p *plan) use(d translate.Destination, touched map[string]bool) {
	have := p.dests[d.Name]
	if have == nil {
		have = &destination{}
		p.dests[d.Name] = have
	}
	have.uses++
	if have.uses > 1 && slices.Equal(have.Parts, d.Parts) && have.Outlet == d.Outlet {
		return
	}
	p.unlink(have)
	have.Destination = d
	for _, part := range d.Parts {
		if p.usedBy[part.Backend] == nil {
			p.usedBy[part.Backend] = map[string]bool{}
		}
		p.usedBy[part.Backend][d.Name] = true
	}
	touched[d.Name] = true
}

// unlink takes a destination out of the index by backend.
func (p *plan) unlink(d *destination) {
	for _, part := range d.Parts {
		delete(p.usedBy[part.Backend], d.Name)
		if len(p.usedBy[part.Backend]) == 0 {
			delete(p.usedBy, part.Backend)
		}
	}
}

// claim makes a frontend one of those behind an address, and tells whether that
// is news. An address that another service has is taken over.
func (p *plan) claim(vip netip.AddrPort, k model.FrontendKey) bool {
	p.stay(func(l *leaving) { delete(l.vips[vip], k) })
	behind := p.vips[vip]
	if behind == nil {
		behind = map[model.FrontendKey]bool{}
		p.vips[vip] = behind
	}
	maps.DeleteFunc(behind, func(other model.FrontendKey, _ bool) bool { return other.Backend() != k.Backend() })
	if behind[k] {
		return false
	}
	behind[k] = true
	return true
}

// leaveVIPs notes the addresses that a frontend no longer has.
func (p *plan) leaveVIPs(old, f *model.Frontend) {
	for _, addr := range old.VIPs {
		if !slices.Contains(f.VIPs, addr) {
			p.leaveVIP(netip.AddrPortFrom(addr.Unmap(), old.Key.Port), old.Key)
		}
	}
}

func (p *plan) leaveVIP(vip netip.AddrPort, k model.FrontendKey) {
	if p.leaving.vips[vip] == nil {
		p.leaving.vips[vip] = map[model.FrontendKey]bool{}
	}
	p.leaving.vips[vip][k] = true
}

// listen makes the listener of an address from the frontends behind it, or
// removes it when there are none.
func (p *plan) listen(vip netip.AddrPort, c *change) {
	behind := slices.SortedFunc(maps.Keys(p.vips[vip]), func(a, b model.FrontendKey) int {
		return strings.Compare(a.ClientNamespace, b.ClientNamespace)
	})
	var fs []*model.Frontend
	for _, k := range behind {
		fs = append(fs, p.frontends[k].Frontend)
	}
	if len(fs) == 0 {
		delete(p.vips, vip)
		c.remove(listeners, translate.VIPName(vip))
		return
	}
	c.put(listeners, translate.VIPName(vip), translate.VIP(vip, fs, p.opts), fs[0].Origin)
}
