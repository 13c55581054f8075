package explain

import (
	"fmt"
	"strings"

	"sluice.io/sluice/model"
)

// usualPort is the port that a URL need not name.
func usualPort(scheme string) uint16 {
	if scheme == "https" {
		return 443
	}
	return 80
}

// fromURL reads where a client outside connects: a URL, or host:port. It returns
// the query with what of the request stands in the URL.
func (q Query) fromURL() (destination, Query, error) {
	d := destination{protocol: model.TCP}
	scheme, rest, isURL := strings.Cut(q.To, "://")
	path := ""
	if isURL {
		d.scheme = strings.ToLower(scheme)
		if i := strings.IndexAny(rest, "/?"); i >= 0 {
			rest, path = rest[:i], rest[i:]
		}
	} else {
		rest = q.To
	}
	switch d.scheme {
	case "", "http", "https", "tls", "tcp":
	case "udp":
		d.protocol = model.UDP
	default:
		return d, q, fmt.Errorf("destination %q: want http, https, tls, tcp or udp before ://", q.To)
	}
	if strings.EqualFold(q.Protocol, "udp") {
		d.protocol = model.UDP
	}
	if colon := strings.LastIndexByte(rest, ':'); (d.scheme == "http" || d.scheme == "https") && colon <= strings.LastIndexByte(rest, ']') {
		rest = fmt.Sprintf("%s:%d", rest, usualPort(d.scheme))
	}
	if err := d.dial(rest); err != nil {
		return d, q, err
	}
	if strings.HasPrefix(path, "?") {
		path = "/" + path
	}
	switch {
	case path == "" || path == q.Path:
	case q.Path != "" && q.Path != "/":
		return d, q, fmt.Errorf("there are two paths: %s in the URL, and %s", path, q.Path)
	default:
		q.Path = path
	}
	return d, q, checkPath(q.Path)
}
