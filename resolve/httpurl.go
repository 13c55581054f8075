package resolve

import (
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
)

func redirect(in *gatewayv1.HTTPRequestRedirectFilter) (*model.Redirect, *finding) {
	out := &model.Redirect{
		Scheme: deref(in.Scheme, ""),
		Host:   string(deref(in.Hostname, "")),
		Port:   uint16(deref(in.Port, 0)),
		Code:   deref(in.StatusCode, 302),
	}
	switch out.Scheme {
	case "", "http", "https":
	default:
		return nil, unsupported("redirect scheme %q is not known: http and https are", out.Scheme)
	}
	switch out.Code {
	case 301, 302, 303, 307, 308:
	default:
		return nil, unsupported("redirect status code %d is not one of 301, 302, 303, 307 and 308", out.Code)
	}
	var f *finding
	out.Path, f = pathModifier(in.Path)
	return out, f
}

func rewrite(in *gatewayv1.HTTPURLRewriteFilter) (*model.Rewrite, *finding) {
	out := &model.Rewrite{Host: string(deref(in.Hostname, ""))}
	var f *finding
	out.Path, f = pathModifier(in.Path)
	return out, f
}

func pathModifier(in *gatewayv1.HTTPPathModifier) (*model.PathModifier, *finding) {
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
		return nil, unsupported("path modifier type %q is not known, or its value is missing", in.Type)
	}
	if strings.ContainsAny(out.Value, "\x00\r\n") {
		return nil, unsupported("path %q has a line break or a zero byte in it", out.Value)
	}
	return &out, nil
}

// checkPathModifiers refuses to replace a matched prefix where a match has none.
func checkPathModifiers(filters []model.HTTPFilter, matches []rankedMatch) *finding {
	for _, filter := range filters {
		var p *model.PathModifier
		switch {
		case filter.Redirect != nil:
			p = filter.Redirect.Path
		case filter.Rewrite != nil:
			p = filter.Rewrite.Path
		}
		if p == nil || !p.Prefix {
			continue
		}
		for _, m := range matches {
			if m.Path == nil || m.Path.Kind != model.MatchPrefix {
				return unsupported("ReplacePrefixMatch needs a PathPrefix match: there is no prefix to replace")
			}
		}
	}
	return nil
}

func redirects(filters []model.HTTPFilter) bool {
	for _, f := range filters {
		if f.Redirect != nil {
			return true
		}
	}
	return false
}

// locationPort is the port to write into the Location header, for clients that
// dialled the given port over plain HTTP; zero means none.
func locationPort(r *model.Redirect, dialled uint16) uint16 {
	port := r.Port
	if port == 0 && r.Scheme == "" {
		port = dialled
	}
	switch {
	case r.Scheme == "https" && port == 443, r.Scheme != "https" && port == 80:
		return 0
	}
	return port
}

// onPort returns the entries with the ports of their redirects settled for a
// frontend's port. Rules without a redirect are shared between frontends.
func onPort(entries []entry, port uint16) []model.HTTPEntry {
	out := make([]model.HTTPEntry, len(entries))
	var settled map[*model.HTTPRule]*model.HTTPRule
	for i := range entries {
		out[i] = entries[i].HTTPEntry
		rule := out[i].Rule
		if !redirects(rule.Filters) {
			continue
		}
		if settled == nil {
			settled = map[*model.HTTPRule]*model.HTTPRule{}
		}
		if settled[rule] == nil {
			settled[rule] = settleRedirect(rule, port)
		}
		out[i].Rule = settled[rule]
	}
	return out
}

func settleRedirect(rule *model.HTTPRule, port uint16) *model.HTTPRule {
	c := *rule
	c.Filters = make([]model.HTTPFilter, len(rule.Filters))
	for i, f := range rule.Filters {
		if f.Redirect != nil {
			r := *f.Redirect
			r.Port = locationPort(f.Redirect, port)
			f.Redirect = &r
		}
		c.Filters[i] = f
	}
	return &c
}
