package explain

import (
	"cmp"
	"fmt"
	"net"
	"strconv"
	"strings"

	"sluice.io/sluice/model"
)

// redirect tells where a redirect leads.
func (e *explainer) redirect(r *model.Redirect, m model.HTTPMatch, rq *request) Outcome {
	location := location(r, m, rq)
	return Outcome{
		Verdict: Answered, Status: r.Code, Location: location,
		Text: fmt.Sprintf("Envoy answers with %d to %s", r.Code, location),
	}
}

func location(r *model.Redirect, m model.HTTPMatch, rq *request) string {
	scheme := cmp.Or(rq.scheme, "http")
	if r.Scheme != "" {
		scheme = r.Scheme
	}
	host, port := splitHost(rq.values("host")[0])
	if r.Host != "" {
		host, port = r.Host, ""
	}
	switch {
	case r.Port != 0:
		port = strconv.Itoa(int(r.Port))
	case r.Scheme == "https" && port == "80", r.Scheme == "http" && port == "443":
		port = ""
	}
	if port != "" {
		host = net.JoinHostPort(strings.Trim(host, "[]"), port)
	}
	path := rq.path
	if r.Path != nil {
		path = changed(r.Path, m.Path, rq.path)
	}
	if rq.query != "" {
		path += "?" + rq.query
	}
	return scheme + "://" + host + path
}

func splitHost(authority string) (host, port string) {
	i := strings.LastIndexByte(authority, ':')
	if i < 0 || strings.HasSuffix(authority, "]") {
		return authority, ""
	}
	return authority[:i], authority[i+1:]
}

// changed applies a path modifier to a path that a match has taken.
func changed(p *model.PathModifier, matched *model.StringMatch, path string) string {
	if !p.Prefix {
		if p.Value == "" {
			return "/"
		}
		return p.Value
	}
	prefix := ""
	if matched != nil {
		prefix = strings.TrimRight(matched.Value, "/")
	}
	out := strings.TrimRight(p.Value, "/") + strings.TrimPrefix(path, prefix)
	if out == "" {
		return "/"
	}
	return out
}

// pathOnly is the path of a query's Path, as it was written.
func pathOnly(path string) string {
	path, _, _ = strings.Cut(path, "?")
	if path == "" {
		return "/"
	}
	return path
}
