package translate

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	sessionfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/stateful_session/v3"
	cookiev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/stateful_session/cookie/v3"
	headerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/stateful_session/header/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/type/http/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"sluice.io/sluice/model"
)

// perRoute switches on, for one route, the HTTP filters that its rule asks for.
func perRoute(r *routev3.Route, c *model.CORS, s *model.SessionPersistence) {
	set := func(name string, config *anypb.Any) {
		if r.TypedPerFilterConfig == nil {
			r.TypedPerFilterConfig = map[string]*anypb.Any{}
		}
		r.TypedPerFilterConfig[name] = config
	}
	if c != nil {
		set(corsFilter, typed(cors(c)))
	}
	if s != nil {
		set(sessionFilter, typed(session(s)))
	}
}

// session keeps a client with the endpoint that the cookie or header names. When
// that endpoint is gone, another is chosen and named.
func session(s *model.SessionPersistence) *sessionfilterv3.StatefulSessionPerRoute {
	return &sessionfilterv3.StatefulSessionPerRoute{
		Override: &sessionfilterv3.StatefulSessionPerRoute_StatefulSession{
			StatefulSession: &sessionfilterv3.StatefulSession{SessionState: sessionState(s)},
		},
	}
}

func sessionState(s *model.SessionPersistence) *corev3.TypedExtensionConfig {
	if s.Header {
		return extension("envoy.http.stateful_session.header", &headerv3.HeaderBasedSessionState{Name: s.Name})
	}
	c := &httpv3.Cookie{Name: s.Name, Path: s.Path}
	if s.TTL > 0 {
		c.Ttl = durationpb.New(s.TTL)
	}
	return extension("envoy.http.stateful_session.cookie", &cookiev3.CookieBasedSessionState{Cookie: c})
}

// sessions shares new sessions among backends by weight and keeps old ones with
// their endpoint, whichever backend's it is. Envoy looks for the endpoint only in
// the cluster that the route chose, so all backends are one cluster: one of
// weight zero too, whose sessions go on. A session that exists never meets the
// share of an invalid backend.
func (b *builder) sessions(e model.HTTPEntry, s steps, usable []model.WeightedBackend) []*routev3.Route {
	var parts []Part
	var lost uint32
	for _, w := range e.Rule.Backends {
		if w.Invalid == "" {
			parts = append(parts, Part{Backend: w.Backend, Weight: w.Weight})
		} else {
			lost += w.Weight
		}
	}
	d := Shared(parts, b.family).through(b.outlet)
	if len(parts) == 1 {
		d = b.one(parts[0].Backend)
	}
	known := b.to(e, s, d)
	if lost == 0 {
		return []*routev3.Route{known}
	}
	inSession(known.Match, e.Rule.Session)
	fresh := b.weighted(e, s, []model.WeightedBackend{{Invalid: "invalid", Weight: lost}})
	clusters := fresh.GetRoute().GetWeightedClusters()
	clusters.Clusters = append(clusters.Clusters, &routev3.WeightedCluster_ClusterWeight{Name: d.Name, Weight: u32(sum(usable))})
	return []*routev3.Route{known, fresh}
}

// inSession narrows a match to requests that carry a session.
func inSession(m *routev3.RouteMatch, s *model.SessionPersistence) {
	if s.Header {
		m.Headers = append(m.Headers, &routev3.HeaderMatcher{
			Name:                 s.Name,
			HeaderMatchSpecifier: &routev3.HeaderMatcher_PresentMatch{PresentMatch: true},
		})
		return
	}
	m.Cookies = append(m.Cookies, &routev3.CookieMatcher{
		Name:        s.Name,
		StringMatch: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: regex(".+")}},
	})
}

func sum(backends []model.WeightedBackend) uint32 {
	var n uint32
	for _, w := range backends {
		n += w.Weight
	}
	return n
}
