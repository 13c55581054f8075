package echo

import (
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
)

// Seen is a server's report of one request: what arrived, and from where.
type Seen struct {
	// Name is the server's own name.
	Name string `json:"name"`
	// Proto is HTTP/1.1 or HTTP/2.0 as it arrived at the server.
	Proto  string `json:"proto"`
	Method string `json:"method"`
	Host   string `json:"host"`
	// Path is the request target as it arrived, with its query.
	Path    string      `json:"path"`
	Headers http.Header `json:"headers"`
	Body    string      `json:"body,omitempty"`
	// Remote is the client's address as the server's accept() returned it.
	Remote string `json:"remote"`
	Local  string `json:"local"`
	// Conn numbers the server's connections, so that a client can tell whether
	// two requests came on the same one.
	Conn int64 `json:"conn"`
}

// ParseSeen decodes a server's report.
func ParseSeen(b []byte) (*Seen, error) {
	s := &Seen{}
	if err := json.Unmarshal(b, s); err != nil {
		return nil, err
	}
	return s, nil
}

// RemoteIP is the client's address without its port; v4-mapped addresses are
// unmapped. It is the zero Addr when the server reported none.
func (s *Seen) RemoteIP() netip.Addr { return hostOf(s.Remote) }

// Header returns a header's first value as the server saw it.
func (s *Seen) Header(name string) string { return s.Headers.Get(name) }

func hostOf(addr string) netip.Addr {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return netip.Addr{}
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return ip.Unmap()
}
