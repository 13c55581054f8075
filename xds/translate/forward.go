package translate

import (
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"sluice.io/sluice/model"
)

// invalid is the name of a cluster that never exists: requests that are sent to
// it get the failure that the rule's kind of route asks for.
const invalid = "sluice:invalid"

// failure answers requests of a rule that has no usable backend.
func (b *builder) failure(e model.HTTPEntry, s steps) *routev3.Route {
	r := b.route(e, s)
	r.Action = &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: failureCode(e.Rule)}}
	return r
}

// failureCode is 500; for a gRPC rule 503, which Envoy says as UNAVAILABLE.
func failureCode(r *model.HTTPRule) uint32 {
	if r.GRPC {
		return 503
	}
	return 500
}

// forward begins an action that sends requests on.
func (b *builder) forward(e model.HTTPEntry, s steps) *routev3.RouteAction {
	a := &routev3.RouteAction{ClusterNotFoundResponseCode: routev3.RouteAction_INTERNAL_SERVER_ERROR}
	if e.Rule.GRPC {
		a.ClusterNotFoundResponseCode = routev3.RouteAction_SERVICE_UNAVAILABLE
	}
	if s.host != "" {
		a.HostRewriteSpecifier = &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: s.host}
	}
	if s.path != nil {
		changePath(s.path, e.Match.Path).rewrite(a)
	}
	a.RequestMirrorPolicies = b.mirrors(s.mirrors, e.Rule)
	patience(a, e.Rule)
	return a
}

// to sends all requests of an entry to one destination.
func (b *builder) to(e model.HTTPEntry, s steps, d Destination) *routev3.Route {
	r, a := b.route(e, s), b.forward(e, s)
	a.ClusterSpecifier = &routev3.RouteAction_Cluster{Cluster: b.use(d)}
	r.Action = &routev3.Route_Route{Route: a}
	return r
}

// share is the routes of an entry whose requests all go to one backend.
func (b *builder) share(e model.HTTPEntry, s steps, w model.WeightedBackend) []*routev3.Route {
	s = s.then(w.Filters)
	switch {
	case w.Invalid != "":
		return []*routev3.Route{b.failure(e, s)}
	case s.redirect != nil:
		return b.redirect(e, s)
	default:
		return []*routev3.Route{b.to(e, s, b.one(w.Backend))}
	}
}

// weighted shares the requests of an entry among clusters, by weight. Envoy has
// the last word on headers at the route, where the rule's are, but a backend's
// filters come after the rule's: so when a backend has any, each backend gets the
// outcome of both.
func (b *builder) weighted(e model.HTTPEntry, s steps, backends []model.WeightedBackend) *routev3.Route {
	onRoute, onWeight := s, steps{}
	if filtered(backends) {
		onRoute.request, onRoute.response = headers{}, headers{}
		onWeight.request, onWeight.response = s.request, s.response
	}
	r, a := b.route(e, onRoute), b.forward(e, s)
	clusters := &routev3.WeightedCluster{}
	for _, w := range shares(backends) {
		clusters.Clusters = append(clusters.Clusters, b.weight(w, onWeight))
	}
	a.ClusterSpecifier = &routev3.RouteAction_WeightedClusters{WeightedClusters: clusters}
	r.Action = &routev3.Route_Route{Route: a}
	return r
}

func (b *builder) weight(w model.WeightedBackend, s steps) *routev3.WeightedCluster_ClusterWeight {
	if w.Invalid != "" {
		return &routev3.WeightedCluster_ClusterWeight{Name: invalid, Weight: u32(w.Weight)}
	}
	c := &routev3.WeightedCluster_ClusterWeight{Name: b.use(b.one(w.Backend)), Weight: u32(w.Weight)}
	s = s.then(w.Filters)
	c.RequestHeadersToAdd, c.RequestHeadersToRemove = s.request.envoy()
	c.ResponseHeadersToAdd, c.ResponseHeadersToRemove = s.response.envoy()
	if s.host != "" {
		c.HostRewriteSpecifier = &routev3.WeightedCluster_ClusterWeight_HostRewriteLiteral{HostRewriteLiteral: s.host}
	}
	return c
}
