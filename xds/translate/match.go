package translate

import (
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"sluice.io/sluice/model"
)

func match(m model.HTTPMatch) *routev3.RouteMatch {
	out := &routev3.RouteMatch{}
	path(out, m.Path)
	if m.Method != "" {
		out.Headers = append(out.Headers, header(":method", exactly(m.Method)))
	}
	for _, h := range m.Headers {
		name := h.Name
		if isHost(name) {
			name = ":authority"
		}
		out.Headers = append(out.Headers, header(name, value(h)))
	}
	for _, q := range m.Query {
		out.QueryParameters = append(out.QueryParameters, &routev3.QueryParameterMatcher{
			Name:                         q.Name,
			QueryParameterMatchSpecifier: &routev3.QueryParameterMatcher_StringMatch{StringMatch: value(q)},
		})
	}
	return out
}

// path sets the match on the path. Prefixes go by whole path elements, with a
// slash at their end or without.
func path(out *routev3.RouteMatch, m *model.StringMatch) {
	switch {
	case m == nil:
		out.PathSpecifier = &routev3.RouteMatch_Prefix{Prefix: "/"}
	case m.Kind == model.MatchExact:
		out.PathSpecifier = &routev3.RouteMatch_Path{Path: m.Value}
	case m.Kind == model.MatchRegex:
		out.PathSpecifier = &routev3.RouteMatch_SafeRegex{SafeRegex: regex(m.Value)}
	case prefixOf(m) == "":
		out.PathSpecifier = &routev3.RouteMatch_Prefix{Prefix: "/"}
	default:
		out.PathSpecifier = &routev3.RouteMatch_PathSeparatedPrefix{PathSeparatedPrefix: prefixOf(m)}
	}
}

// prefixOf is a prefix match's value without slashes at its end: empty for "/".
func prefixOf(m *model.StringMatch) string { return strings.TrimRight(m.Value, "/") }

func header(name string, m *matcherv3.StringMatcher) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{
		Name:                 name,
		HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: m},
	}
}

func regexHeader(name, pattern string) *routev3.HeaderMatcher {
	return header(name, &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: regex(pattern)}})
}

func value(m model.NamedMatch) *matcherv3.StringMatcher {
	if m.Kind == model.MatchRegex {
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: regex(m.Value)}}
	}
	return exactly(m.Value)
}

func exactly(s string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: s}}
}

// regex is an RE2 expression, which Envoy matches with the whole string.
func regex(s string) *matcherv3.RegexMatcher { return &matcherv3.RegexMatcher{Regex: s} }
