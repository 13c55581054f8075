package translate

import (
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"sluice.io/sluice/model"
)

// RoutesName is the name of a frontend's route configuration for a family.
func RoutesName(k model.FrontendKey, f Family) string { return f.name(k.String()) }

// Routes is the route configuration of a frontend that routes HTTP, and the
// destinations that it refers to. Its addresses are of one family: see
// [ByFamily]. A request that no entry takes gets 404, which Envoy says to gRPC
// clients as UNIMPLEMENTED.
func Routes(f *model.Frontend) (*routev3.RouteConfiguration, []Destination) {
	b := &builder{family: IPv4, seen: map[string]bool{}}
	if len(f.VIPs) > 0 {
		b.family = FamilyOf(f.VIPs[0])
	}
	host := &routev3.VirtualHost{Name: "all", Domains: []string{"*"}}
	for _, e := range f.HTTP.Entries {
		host.Routes = append(host.Routes, b.entry(e)...)
	}
	return &routev3.RouteConfiguration{
		Name:         RoutesName(f.Key, b.family),
		VirtualHosts: []*routev3.VirtualHost{host},
	}, b.destinations
}

// builder collects the destinations that routes refer to.
type builder struct {
	family       Family
	outlet       Outlet
	destinations []Destination
	seen         map[string]bool
}

// use notes a destination, and returns the name of its cluster.
func (b *builder) use(d Destination) string {
	if !b.seen[d.Name] {
		b.seen[d.Name] = true
		b.destinations = append(b.destinations, d)
	}
	return d.Name
}

// one is the destination that is one backend.
func (b *builder) one(k model.BackendKey) Destination { return To(k, b.family).through(b.outlet) }

// entry is the routes of one match of one rule; several when the rule's
// backends have filters that Envoy knows only on routes.
func (b *builder) entry(e model.HTTPEntry) []*routev3.Route {
	rule := e.Rule
	b.outlet.HTTP2 = b.outlet.Gateway && rule.GRPC
	steps := steps{}.then(rule.Filters)
	usable := usableBackends(rule.Backends)
	switch {
	case steps.redirect != nil:
		return b.redirect(e, steps)
	case len(usable) == 0:
		return []*routev3.Route{b.failure(e, steps)}
	case rule.Session != nil && !filtered(rule.Backends):
		return b.sessions(e, steps, usable)
	case len(shares(rule.Backends)) == 1:
		return b.share(e, steps, usable[0])
	case weighable(rule.Backends):
		return []*routev3.Route{b.weighted(e, steps, rule.Backends)}
	default:
		return b.split(e, steps)
	}
}

// route begins a route. Its name tells the rule, without its line in a file:
// that moves when other rules of the file change.
func (b *builder) route(e model.HTTPEntry, s steps) *routev3.Route {
	origin := e.Rule.Origin
	origin.File = ""
	r := &routev3.Route{Name: origin.String(), Match: match(e.Match)}
	r.RequestHeadersToAdd, r.RequestHeadersToRemove = s.request.envoy()
	r.ResponseHeadersToAdd, r.ResponseHeadersToRemove = s.response.envoy()
	perRoute(r, s.cors, e.Rule.Session)
	return r
}

// shares are the backends that get requests, usable or not.
func shares(backends []model.WeightedBackend) []model.WeightedBackend {
	var out []model.WeightedBackend
	for _, w := range backends {
		if w.Weight > 0 {
			out = append(out, w)
		}
	}
	return out
}

func usableBackends(backends []model.WeightedBackend) []model.WeightedBackend {
	var out []model.WeightedBackend
	for _, w := range shares(backends) {
		if w.Invalid == "" {
			out = append(out, w)
		}
	}
	return out
}

func filtered(backends []model.WeightedBackend) bool {
	for _, w := range backends {
		if len(w.Filters) > 0 {
			return true
		}
	}
	return false
}
