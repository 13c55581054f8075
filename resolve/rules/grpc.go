package rules

import (
	"regexp"
	"strings"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
)

func (rt *Route) readGRPC(o *gatewayv1.GRPCRoute) {
	rt.Rank, rt.ParentRefs = GRPC, o.Spec.ParentRefs
	rt.named(o.Spec.Hostnames)
	for _, rule := range o.Spec.Rules {
		rt.useRule(asHTTPFilters(rule.Filters), asHTTPBackends(rule.BackendRefs))
	}
	rt.compile = func(c *compiler) { c.grpcRoute(o) }
}

func (c *compiler) grpcRoute(o *gatewayv1.GRPCRoute) {
	if len(o.Spec.Rules) == 0 {
		c.out.Notes = append(c.out.Notes, "the route has no rules: every call is answered with UNIMPLEMENTED")
	}
	for i := range o.Spec.Rules {
		c.begin(i, o.Spec.Rules[i].Name)
		if f := c.grpcRule(&o.Spec.Rules[i]); f != nil {
			c.drop(f)
		}
	}
	sortEntries(c.out.entries)
	c.finish(len(o.Spec.Rules))
}

// grpcRule compiles one rule and adds its entries.
func (c *compiler) grpcRule(rule *gatewayv1.GRPCRouteRule) *finding.Finding {
	matches, f := grpcMatches(rule.Matches)
	if f != nil {
		return f
	}
	out := &model.HTTPRule{Origin: c.origin, GRPC: true}
	if out.Filters, f = c.httpFilters(asHTTPFilters(rule.Filters)); f != nil {
		return f
	}
	if f = c.httpBackends(asHTTPBackends(rule.BackendRefs), out); f != nil {
		return f
	}
	if out.Session, f = c.session(rule.SessionPersistence); f != nil {
		return f
	}
	c.add(out, matches)
	return nil
}

// asHTTPBackends writes backendRefs with gRPC filters as those with HTTP filters.
func asHTTPBackends(in []gatewayv1.GRPCBackendRef) []gatewayv1.HTTPBackendRef {
	out := make([]gatewayv1.HTTPBackendRef, len(in))
	for i, b := range in {
		out[i] = gatewayv1.HTTPBackendRef{BackendRef: b.BackendRef, Filters: asHTTPFilters(b.Filters)}
	}
	return out
}

// asHTTPFilters writes gRPC filters as the HTTP filters that they are.
func asHTTPFilters(in []gatewayv1.GRPCRouteFilter) []gatewayv1.HTTPRouteFilter {
	out := make([]gatewayv1.HTTPRouteFilter, len(in))
	for i, f := range in {
		out[i] = gatewayv1.HTTPRouteFilter{
			Type:                   gatewayv1.HTTPRouteFilterType(f.Type),
			RequestHeaderModifier:  f.RequestHeaderModifier,
			ResponseHeaderModifier: f.ResponseHeaderModifier,
			RequestMirror:          f.RequestMirror,
			ExtensionRef:           f.ExtensionRef,
		}
	}
	return out
}

func grpcMatches(in []gatewayv1.GRPCRouteMatch) ([]rankedMatch, *finding.Finding) {
	if len(in) == 0 {
		in = []gatewayv1.GRPCRouteMatch{{}}
	}
	out := make([]rankedMatch, 0, len(in))
	for i := range in {
		m, f := grpcMatch(&in[i])
		if f != nil {
			return nil, f
		}
		out = append(out, m)
	}
	return out, nil
}

func grpcMatch(in *gatewayv1.GRPCRouteMatch) (m rankedMatch, f *finding.Finding) {
	for _, h := range in.Headers {
		kind := string(ptr.Deref(h.Type, gatewayv1.GRPCHeaderMatchExact))
		if m.Headers, f = addNamed(m.Headers, "header", strings.ToLower(string(h.Name)), kind, h.Value); f != nil {
			return m, f
		}
	}
	var service, method string
	kind := gatewayv1.GRPCMethodMatchExact
	if in.Method != nil {
		service, method = ptr.Deref(in.Method.Service, ""), ptr.Deref(in.Method.Method, "")
		kind = ptr.Deref(in.Method.Type, kind)
	}
	switch kind {
	case gatewayv1.GRPCMethodMatchExact:
		m.Path, f = grpcExact(service, method)
	case gatewayv1.GRPCMethodMatchRegularExpression:
		m.Path, f = grpcRegex(service, method)
	default:
		f = finding.Unsupported("method match type %q is not known", kind)
	}
	m.rank = grpcRank(service, method, kind == gatewayv1.GRPCMethodMatchRegularExpression, len(m.Headers))
	return m, f
}

// grpcExact writes a gRPC service and method, either of which may be missing, as
// a match of the path /service/method.
func grpcExact(service, method string) (*model.StringMatch, *finding.Finding) {
	if strings.ContainsAny(service+method, "/?#") {
		return nil, finding.Unsupported("a gRPC service or method must not have /, ? or # in it")
	}
	switch {
	case service != "" && method != "":
		return &model.StringMatch{Kind: model.MatchExact, Value: "/" + service + "/" + method}, nil
	case service != "":
		return &model.StringMatch{Kind: model.MatchPrefix, Value: "/" + service}, nil
	case method != "":
		return &model.StringMatch{Kind: model.MatchRegex, Value: "/[^/]+/" + regexp.QuoteMeta(method)}, nil
	}
	return nil, nil
}

func grpcRegex(service, method string) (*model.StringMatch, *finding.Finding) {
	if service == "" && method == "" {
		return nil, nil
	}
	element := func(pattern string) (string, *finding.Finding) {
		if pattern == "" {
			return "[^/]+", nil
		}
		return "(?:" + pattern + ")", checkRegex(pattern)
	}
	s, f := element(service)
	if f != nil {
		return nil, f
	}
	m, f := element(method)
	return &model.StringMatch{Kind: model.MatchRegex, Value: "/" + s + "/" + m}, f
}
