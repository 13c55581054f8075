// Package explain says what would become of a connection or request before it
// is made, by a client in the mesh or by one outside that dials a Gateway: who
// handles it and why, which rule of which object in which file at
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
	// From is the client. The zero value is a client outside, which dials a
	// Gateway.
	From model.WorkloadKey `json:"from,omitzero"`
	// Gateway is what a client outside dials; the zero value means whichever is at
	// To.
	Gateway model.GatewayKey `json:"gateway,omitzero"`
	// To is what it dials, host:port. The host is a service's name in one of the
	// forms that cluster DNS knows (svc, svc.ns, svc.ns.svc,
	// svc.ns.svc.cluster.local), or an IP address, IPv6 in brackets. For a client
	// outside, it is what DNS leads to a Gateway, and may be a URL: http, https
	// with a path, or tls, tcp, udp with a port.
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
	scheme   string // of a URL; empty when there was none
}

func (d destination) String() string {
	if d.addr.IsValid() {
		return netip.AddrPortFrom(d.addr, d.port).String()
	}
	return fmt.Sprintf("%s:%d", d.host, d.port)
}

// destination reads where a client in the mesh connects.
func (q Query) destination() (destination, error) {
	d := destination{protocol: model.TCP}
	switch strings.ToLower(q.Protocol) {
	case "", "tcp":
	case "udp":
		d.protocol = model.UDP
	default:
		return d, fmt.Errorf("protocol %q: want tcp or udp", q.Protocol)
	}
	if scheme, _, isURL := strings.Cut(q.To, "://"); isURL {
		return d, fmt.Errorf("destination %q: a client in the mesh dials HOST:PORT; %s:// is for clients outside, which have no --from", q.To, scheme)
	}
	if err := d.dial(q.To); err != nil {
		return d, err
	}
	return d, checkPath(q.Path)
}

func checkPath(path string) error {
	if path != "" && !strings.HasPrefix(path, "/") && path != "*" {
		return fmt.Errorf("path %q: want one that starts with a slash, such as /%s", path, path)
	}
	return nil
}

// dial reads host:port.
func (d *destination) dial(to string) error {
	i := strings.LastIndexByte(to, ':')
	if i < 0 {
		return fmt.Errorf("destination %q has no port: want host:port, such as cart:80", to)
	}
	host, port := to[:i], to[i+1:]
	if _, err := fmt.Sscanf(port, "%d", &d.port); err != nil || d.port == 0 || fmt.Sprint(d.port) != port {
		return fmt.Errorf("destination %q: port %q is not a number from 1 to 65535", to, port)
	}
	bracketed := strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]")
	if bracketed {
		host = host[1 : len(host)-1]
	}
	a, err := netip.ParseAddr(host)
	switch {
	case err == nil && a.Is6() && !bracketed:
		return fmt.Errorf("destination %q: an IPv6 address needs brackets, such as [%s]:%s", to, host, port)
	case err == nil:
		d.addr = a.WithZone("").Unmap()
	case bracketed || host == "":
		return fmt.Errorf("destination %q has no host", to)
	}
	d.host = strings.TrimSuffix(strings.ToLower(host), ".")
	return nil
}
