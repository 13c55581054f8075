// Package explain says what would become of a connection or request before it
// is made: who handles it and why, which rule of which object in which file at
// which line takes it, and where it may end.
//
// It owns the evaluation of matches as the data path evaluates them, and the
// words for it. It is pure and reads the model only: it must not know
// Kubernetes, Envoy or eBPF types, nor ask the running data path.
package explain

import (
	"fmt"
	"net/netip"
	"strings"

	"sluice.io/sluice/model"
)

// Query is a connection that a client might make, and the request on it.
type Query struct {
	// From is the client.
	From model.WorkloadKey `json:"from"`
	// To is what it dials, host:port. The host is a service's name in one of the
	// forms that cluster DNS knows (svc, svc.ns, svc.ns.svc,
	// svc.ns.svc.cluster.local), or an IP address, IPv6 in brackets.
	To string `json:"to"`
	// Protocol is tcp or udp; empty means tcp.
	Protocol string `json:"protocol,omitempty"`
	// Method is the request's method; empty means GET.
	Method string `json:"method,omitempty"`
	// Path is the request's path, with the query if any; empty means "/".
	Path string `json:"path,omitempty"`
	// Headers are the request's headers, in order. Without a Host header, the
	// request carries the host and port of To.
	Headers []model.Header `json:"headers,omitempty"`
}

// destination is where a query's connection goes, as dialled.
type destination struct {
	host     string
	addr     netip.Addr // invalid when host is a name
	port     uint16
	protocol model.Protocol
}

func (d destination) String() string {
	if d.addr.IsValid() {
		return netip.AddrPortFrom(d.addr, d.port).String()
	}
	return fmt.Sprintf("%s:%d", d.host, d.port)
}

func (q Query) destination() (destination, error) {
	d := destination{protocol: model.TCP}
	switch strings.ToLower(q.Protocol) {
	case "", "tcp":
	case "udp":
		d.protocol = model.UDP
	default:
		return d, fmt.Errorf("protocol %q: want tcp or udp", q.Protocol)
	}
	i := strings.LastIndexByte(q.To, ':')
	if i < 0 {
		return d, fmt.Errorf("destination %q has no port: want host:port, such as cart:80", q.To)
	}
	host, port := q.To[:i], q.To[i+1:]
	if _, err := fmt.Sscanf(port, "%d", &d.port); err != nil || d.port == 0 || fmt.Sprint(d.port) != port {
		return d, fmt.Errorf("destination %q: port %q is not a number from 1 to 65535", q.To, port)
	}
	if q.Path != "" && !strings.HasPrefix(q.Path, "/") && q.Path != "*" {
		return d, fmt.Errorf("path %q: want one that starts with a slash, such as /%s", q.Path, q.Path)
	}
	bracketed := strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]")
	if bracketed {
		host = host[1 : len(host)-1]
	}
	a, err := netip.ParseAddr(host)
	switch {
	case err == nil && a.Is6() && !bracketed:
		return d, fmt.Errorf("destination %q: an IPv6 address needs brackets, such as [%s]:%s", q.To, host, port)
	case err == nil:
		d.addr = a.WithZone("").Unmap()
	case bracketed || host == "":
		return d, fmt.Errorf("destination %q has no host", q.To)
	}
	d.host = strings.TrimSuffix(strings.ToLower(host), ".")
	return d, nil
}
