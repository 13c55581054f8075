package translate

import (
	"regexp"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"sluice.io/sluice/model"
)

// pathChange is how a path is replaced: by a whole path, a new prefix, or a
// regular expression. At most one is set; the query always stays.
type pathChange struct {
	full   string
	prefix string
	regex  *matcherv3.RegexMatchAndSubstitute
}

// changePath is what a path modifier means for the paths that a match takes.
// Envoy's own prefix rewrite swaps strings, which is right for path elements
// only when neither the prefix nor its replacement is the root: /foo replaced by
// / would turn /foo/bar into //bar, and / replaced by /foo turn /bar into /foobar.
func changePath(m *model.PathModifier, matched *model.StringMatch) pathChange {
	value := strings.TrimRight(m.Value, "/")
	switch {
	case !m.Prefix && m.Value == "":
		return pathChange{full: "/"}
	case !m.Prefix:
		return pathChange{full: m.Value}
	case matched != nil && matched.Kind != model.MatchPrefix:
		return pathChange{full: value + "/"}
	case matched == nil || prefixOf(matched) == "":
		if value == "" {
			return pathChange{}
		}
		return pathChange{regex: substitute("^/", value+"/")}
	case value == "":
		return pathChange{regex: substitute("^"+regexp.QuoteMeta(prefixOf(matched))+"/?", "/")}
	default:
		return pathChange{prefix: value}
	}
}

func substitute(pattern, by string) *matcherv3.RegexMatchAndSubstitute {
	return &matcherv3.RegexMatchAndSubstitute{
		Pattern:      regex(pattern),
		Substitution: strings.ReplaceAll(by, `\`, `\\`),
	}
}

// rewrite applies the change to requests on their way to a backend.
func (c pathChange) rewrite(a *routev3.RouteAction) {
	a.PathRewrite = literal(c.full)
	a.PrefixRewrite = c.prefix
	a.RegexRewrite = c.regex
}

// redirect applies the change to the location that a redirect names.
func (c pathChange) redirect(a *routev3.RedirectAction) {
	switch {
	case c.full != "":
		a.PathRewriteSpecifier = &routev3.RedirectAction_PathRedirect{PathRedirect: c.full}
	case c.prefix != "":
		a.PathRewriteSpecifier = &routev3.RedirectAction_PrefixRewrite{PrefixRewrite: c.prefix}
	case c.regex != nil:
		a.PathRewriteSpecifier = &routev3.RedirectAction_RegexRewrite{RegexRewrite: c.regex}
	}
}
