package rules

import (
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
)

func (rt *Route) readHTTP(o *gatewayv1.HTTPRoute) {
	rt.Rank, rt.ParentRefs = HTTP, o.Spec.ParentRefs
	rt.named(o.Spec.Hostnames)
	for _, rule := range o.Spec.Rules {
		rt.useRule(rule.Filters, rule.BackendRefs)
	}
	rt.compile = func(c *compiler) { c.httpRoute(o) }
}

// useRule notes the services that a rule refers to.
func (rt *Route) useRule(filters []gatewayv1.HTTPRouteFilter, refs []gatewayv1.HTTPBackendRef) {
	rt.useFilters(filters)
	for _, b := range refs {
		rt.use(b.BackendObjectReference)
		rt.useFilters(b.Filters)
	}
}

func (rt *Route) useFilters(filters []gatewayv1.HTTPRouteFilter) {
	for _, f := range filters {
		if f.RequestMirror != nil {
			rt.use(f.RequestMirror.BackendRef)
		}
	}
}

func (c *compiler) httpRoute(o *gatewayv1.HTTPRoute) {
	rules := o.Spec.Rules
	if len(rules) == 0 {
		rules = []gatewayv1.HTTPRouteRule{{}}
	}
	for i := range rules {
		c.begin(i, rules[i].Name)
		if f := c.httpRule(&rules[i]); f != nil {
			c.drop(f)
		}
	}
	sortEntries(c.out.entries)
	c.finish(len(rules))
}

// httpRule compiles one rule and adds its entries.
func (c *compiler) httpRule(rule *gatewayv1.HTTPRouteRule) *finding.Finding {
	matches, f := httpMatches(rule.Matches)
	if f != nil {
		return f
	}
	out := &model.HTTPRule{Origin: c.origin}
	if out.Filters, f = c.httpFilters(rule.Filters); f != nil {
		return f
	}
	if f = c.httpBackends(rule.BackendRefs, out); f != nil {
		return f
	}
	if f = checkPathModifiers(out, matches); f != nil {
		return f
	}
	if out.Timeouts, f = httpTimeouts(rule.Timeouts); f != nil {
		return f
	}
	if out.Retry, f = httpRetry(rule.Retry); f != nil {
		return f
	}
	if out.Session, f = c.session(rule.SessionPersistence); f != nil {
		return f
	}
	c.add(out, matches)
	return nil
}

func (c *compiler) httpBackends(refs []gatewayv1.HTTPBackendRef, out *model.HTTPRule) *finding.Finding {
	if redirects(out.Filters) {
		if len(refs) > 0 {
			return incompatible("a RequestRedirect filter leaves nothing for backendRefs")
		}
		return nil
	}
	for _, ref := range refs {
		b := c.weighted(ref.BackendRef)
		failing := c.failing
		c.failing = false
		filters, f := c.httpFilters(ref.Filters)
		if f != nil {
			return f
		}
		if c.failing && b.Invalid == "" {
			b.Invalid = finding.UnsupportedFilter
		}
		b.Filters, c.failing = filters, failing
		out.Backends = append(out.Backends, b)
	}
	return nil
}

// add makes the entries of a rule. A rule with a filter that is not supported
// answers every request with an error.
func (c *compiler) add(rule *model.HTTPRule, matches []rankedMatch) {
	if c.failing {
		rule = &model.HTTPRule{Origin: rule.Origin, GRPC: rule.GRPC}
	}
	byPath := map[string]*model.HTTPRule{}
	anyRedirect := redirects(rule.Filters) ||
		slices.ContainsFunc(rule.Backends, func(b model.WeightedBackend) bool { return redirects(b.Filters) })
	for i, m := range matches {
		c.out.entries = append(c.out.entries, entry{
			HTTPEntry: model.HTTPEntry{Match: m.HTTPMatch, Rule: forPath(rule, m.Path, byPath)},
			rank:      m.rank,
			route:     c.route.Seniority,
			rule:      c.origin.Rule,
			match:     i,
			redirects: anyRedirect,
		})
	}
}
