package rules

import (
	"cmp"
	"slices"
	"strings"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
)

func redirect(in *gatewayv1.HTTPRequestRedirectFilter) (*model.Redirect, *finding.Finding) {
	out := &model.Redirect{
		Scheme: ptr.Deref(in.Scheme, ""),
		Host:   string(ptr.Deref(in.Hostname, "")),
		Port:   uint16(ptr.Deref(in.Port, 0)),
		Code:   ptr.Deref(in.StatusCode, 302),
	}
	switch out.Scheme {
	case "", "http", "https":
	default:
		return nil, finding.Unsupported("redirect scheme %q is not known: http and https are", out.Scheme)
	}
	switch out.Code {
	case 301, 302, 303, 307, 308:
	default:
		return nil, finding.Unsupported("redirect status code %d is not one of 301, 302, 303, 307 and 308", out.Code)
	}
	var f *finding.Finding
	out.Path, f = pathModifier(in.Path)
	return out, f
}

func rewrite(in *gatewayv1.HTTPURLRewriteFilter) (*model.Rewrite, *finding.Finding) {
	out := &model.Rewrite{Host: string(ptr.Deref(in.Hostname, ""))}
	var f *finding.Finding
	out.Path, f = pathModifier(in.Path)
	return out, f
}

func pathModifier(in *gatewayv1.HTTPPathModifier) (*model.PathModifier, *finding.Finding) {
	if in == nil {
		return nil, nil
	}
	var out model.PathModifier
	switch {
	case in.Type == gatewayv1.FullPathHTTPPathModifier && in.ReplaceFullPath != nil:
		out.Value = *in.ReplaceFullPath
	case in.Type == gatewayv1.PrefixMatchHTTPPathModifier && in.ReplacePrefixMatch != nil:
		out.Prefix, out.Value = true, *in.ReplacePrefixMatch
	default:
		return nil, finding.Unsupported("path modifier type %q is not known, or its value is missing", in.Type)
	}
	if strings.ContainsAny(out.Value, "\x00\r\n") {
		return nil, finding.Unsupported("path %q has a line break or a zero byte in it", out.Value)
	}
	return &out, nil
}

// checkPathModifiers refuses to replace a matched prefix where a match has none.
func checkPathModifiers(rule *model.HTTPRule, matches []rankedMatch) *finding.Finding {
	if !replacesPrefix(rule.Filters) && !slices.ContainsFunc(rule.Backends, func(b model.WeightedBackend) bool { return replacesPrefix(b.Filters) }) {
		return nil
	}
	for _, m := range matches {
		if m.Path == nil || m.Path.Kind != model.MatchPrefix {
			return finding.Unsupported("ReplacePrefixMatch needs a PathPrefix match: there is no prefix to replace")
		}
	}
	return nil
}

func replacesPrefix(filters []model.HTTPFilter) bool {
	for _, f := range filters {
		if f.Redirect != nil && f.Redirect.Path != nil && f.Redirect.Path.Prefix ||
			f.Rewrite != nil && f.Rewrite.Path != nil && f.Rewrite.Path.Prefix {
			return true
		}
	}
	return false
}

func redirects(filters []model.HTTPFilter) bool {
	for _, f := range filters {
		if f.Redirect != nil {
			return true
		}
	}
	return false
}

// Dialled is the port that clients dialled, and whether with TLS.
type Dialled struct {
	Port uint16
	TLS  bool
}

func (d Dialled) scheme() string {
	if d.TLS {
		return "https"
	}
	return "http"
}

func usualPort(scheme string) uint16 {
	if scheme == "https" {
		return 443
	}
	return 80
}

// locationPort is the port to write into the Location header; zero means none.
// The usual port of the scheme is not written, unless the request's own Host
// header would bring another one with it.
func locationPort(r *model.Redirect, d Dialled) uint16 {
	usual := usualPort(cmp.Or(r.Scheme, d.scheme()))
	port := r.Port
	switch {
	case port == 0 && r.Scheme != "":
		port = usual
	case port == 0:
		port = d.Port
	}
	if port == usual && (r.Host != "" || d.Port == usualPort(d.scheme())) {
		return 0
	}
	return port
}

// onPort returns the entries with the ports of their redirects settled for the
// port that clients dialled. Rules without a redirect are shared between ports.
func onPort(entries []entry, port Dialled) []model.HTTPEntry {
	out := make([]model.HTTPEntry, len(entries))
	settled := map[*model.HTTPRule]*model.HTTPRule{}
	for i := range entries {
		out[i] = entries[i].HTTPEntry
		if entries[i].redirects {
			rule := out[i].Rule
			if settled[rule] == nil {
				settled[rule] = settleRedirects(rule, port)
			}
			out[i].Rule = settled[rule]
		}
	}
	return out
}

func settleRedirects(rule *model.HTTPRule, port Dialled) *model.HTTPRule {
	c := *rule
	c.Filters = settleFilters(rule.Filters, port)
	c.Backends = slices.Clone(rule.Backends)
	for i := range c.Backends {
		c.Backends[i].Filters = settleFilters(c.Backends[i].Filters, port)
	}
	return &c
}

func settleFilters(filters []model.HTTPFilter, port Dialled) []model.HTTPFilter {
	if !redirects(filters) {
		return filters
	}
	out := slices.Clone(filters)
	for i, f := range out {
		if f.Redirect != nil {
			r := *f.Redirect
			r.Port = locationPort(f.Redirect, port)
			out[i].Redirect = &r
		}
	}
	return out
}
