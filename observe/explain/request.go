package explain

import (
	"cmp"
	"fmt"
	"strings"

	"sluice.io/sluice/model"
)

// request is a request as Envoy sees it when it chooses a route.
type request struct {
	scheme string // empty for http
	method string
	path   string // normalized, without the query
	query  string // without the question mark
	header []model.Header
}

func newRequest(q Query, d destination) *request {
	r := &request{scheme: d.scheme, method: cmp.Or(q.Method, "GET"), header: q.Headers}
	path, query, _ := strings.Cut(cmp.Or(q.Path, "/"), "?")
	r.path, r.query = normalize(path), query
	if len(r.values("host")) == 0 {
		host := d.String()
		if d.port == usualPort(d.scheme) {
			host = strings.TrimSuffix(host, fmt.Sprintf(":%d", d.port))
		}
		r.header = append([]model.Header{{Name: "host", Value: host}}, r.header...)
	}
	return r
}

// values returns a header's values, one for each of its lines. Envoy matches each
// by itself, and does not join them.
func (r *request) values(name string) []string {
	var values []string
	for _, h := range r.header {
		if strings.EqualFold(h.Name, name) || name == "host" && strings.EqualFold(h.Name, ":authority") {
			values = append(values, h.Value)
		}
	}
	return values
}

// param returns a query parameter's first value, if any, as it was written:
// neither names nor values are decoded.
func (r *request) param(name string) []string {
	for pair := range strings.SplitSeq(r.query, "&") {
		k, v, _ := strings.Cut(pair, "=")
		if k == name {
			return []string{v}
		}
	}
	return nil
}

// normalize rewrites a path as Envoy does before it routes: escapes of
// unreserved characters are undone, backslashes become slashes, and dot segments
// are resolved. Double slashes stay.
func normalize(path string) string {
	if !strings.HasPrefix(path, "/") {
		return path
	}
	path = strings.ReplaceAll(unescape(path), `\`, "/")
	var out []string
	segments := strings.Split(path[1:], "/")
	for i, s := range segments {
		last := i == len(segments)-1
		switch s {
		case ".", "..":
			if s == ".." && len(out) > 0 {
				out = out[:len(out)-1]
			}
			if last {
				out = append(out, "")
			}
		default:
			out = append(out, s)
		}
	}
	return "/" + strings.Join(out, "/")
}

// unescape undoes the percent escapes of unreserved characters (RFC 3986, 6.2.2.2).
func unescape(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '%' && i+2 < len(path) {
			if c, ok := unhex(path[i+1], path[i+2]); ok && unreserved(c) {
				b.WriteByte(c)
				i += 2
				continue
			}
		}
		b.WriteByte(path[i])
	}
	return b.String()
}

func unhex(hi, lo byte) (byte, bool) {
	const digits = "0123456789abcdef"
	h := strings.IndexByte(digits, hi|0x20)
	l := strings.IndexByte(digits, lo|0x20)
	if h < 0 || l < 0 {
		return 0, false
	}
	return byte(h<<4 | l), true
}

func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}
