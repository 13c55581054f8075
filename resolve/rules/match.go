package rules

import (
	"strings"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/index"
)

// rankedMatch is a match with its precedence.
type rankedMatch struct {
	model.HTTPMatch
	rank precedence
}

func httpMatches(in []gatewayv1.HTTPRouteMatch) ([]rankedMatch, *finding.Finding) {
	if len(in) == 0 {
		in = []gatewayv1.HTTPRouteMatch{{}}
	}
	out := make([]rankedMatch, 0, len(in))
	for i := range in {
		m, f := httpMatch(&in[i])
		if f != nil {
			return nil, f
		}
		out = append(out, rankedMatch{m, httpRank(m)})
	}
	return out, nil
}

func httpMatch(in *gatewayv1.HTTPRouteMatch) (m model.HTTPMatch, f *finding.Finding) {
	if m.Path, f = pathMatch(in.Path); f != nil {
		return m, f
	}
	if in.Method != nil {
		if m.Method = string(*in.Method); !knownMethods.Has(m.Method) {
			return m, finding.Unsupported("method %q is not known", m.Method)
		}
	}
	for _, h := range in.Headers {
		name := strings.ToLower(string(h.Name))
		kind := string(ptr.Deref(h.Type, gatewayv1.HeaderMatchExact))
		if m.Headers, f = addNamed(m.Headers, "header", name, kind, h.Value); f != nil {
			return m, f
		}
	}
	for _, q := range in.QueryParams {
		kind := string(ptr.Deref(q.Type, gatewayv1.QueryParamMatchExact))
		if m.Query, f = addNamed(m.Query, "query parameter", string(q.Name), kind, q.Value); f != nil {
			return m, f
		}
	}
	return m, nil
}

var knownMethods = index.Set[string]{
	"GET": {}, "HEAD": {}, "POST": {}, "PUT": {}, "DELETE": {},
	"CONNECT": {}, "OPTIONS": {}, "TRACE": {}, "PATCH": {},
}

// pathMatch reads a path match. A prefix is kept without its trailing slash,
// which means nothing.
func pathMatch(in *gatewayv1.HTTPPathMatch) (*model.StringMatch, *finding.Finding) {
	kind, value := gatewayv1.PathMatchPathPrefix, "/"
	if in != nil {
		kind, value = ptr.Deref(in.Type, kind), ptr.Deref(in.Value, value)
	}
	switch kind {
	case gatewayv1.PathMatchExact, gatewayv1.PathMatchPathPrefix:
		if !strings.HasPrefix(value, "/") || strings.ContainsAny(value, "?#") {
			return nil, finding.Unsupported("path %q must begin with / and have no query or fragment", value)
		}
		if kind == gatewayv1.PathMatchExact {
			return &model.StringMatch{Kind: model.MatchExact, Value: value}, nil
		}
		if len(value) > 1 {
			value = strings.TrimSuffix(value, "/")
		}
		return &model.StringMatch{Kind: model.MatchPrefix, Value: value}, nil
	case gatewayv1.PathMatchRegularExpression:
		return &model.StringMatch{Kind: model.MatchRegex, Value: value}, checkRegex(value)
	}
	return nil, finding.Unsupported("path match type %q is not known", kind)
}

// addNamed adds a header or query parameter match, unless an earlier one has
// the same name: the first counts.
func addNamed(to []model.NamedMatch, what, name, kind, value string) ([]model.NamedMatch, *finding.Finding) {
	if !validToken(name) {
		return to, finding.Unsupported("%s name %q is not valid", what, name)
	}
	for _, m := range to {
		if m.Name == name {
			return to, nil
		}
	}
	switch kind {
	case string(gatewayv1.HeaderMatchExact):
		return append(to, model.NamedMatch{Name: name, Kind: model.MatchExact, Value: value}), nil
	case string(gatewayv1.HeaderMatchRegularExpression):
		return append(to, model.NamedMatch{Name: name, Kind: model.MatchRegex, Value: value}), checkRegex(value)
	}
	return to, finding.Unsupported("%s match type %q is not known", what, kind)
}

// validToken reports whether a name can be that of a header.
func validToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}
