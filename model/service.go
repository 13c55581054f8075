package model

import (
	"fmt"
	"net/netip"
	"time"
)

// Protocol is a transport protocol that a service port speaks.
type Protocol string

// The protocols that services have. Others are refused by resolve.
const (
	TCP Protocol = "TCP"
	UDP Protocol = "UDP"
)

// AppProtocol is the application protocol of a service port, from the Service's
// appProtocol field (Kubernetes KEP-3726 names and IANA service names).
type AppProtocol string

// The application protocols that change how Envoy speaks to an endpoint.
const (
	// AppAuto means that none was declared: Envoy detects HTTP/1.1 and HTTP/2
	// on the client's connection and speaks the same to the endpoint.
	AppAuto AppProtocol = ""
	// AppHTTP is HTTP/1.1 ("http").
	AppHTTP AppProtocol = "http"
	// AppH2C is HTTP/2 with prior knowledge ("kubernetes.io/h2c").
	AppH2C AppProtocol = "kubernetes.io/h2c"
	// AppGRPC is gRPC, so HTTP/2 ("grpc").
	AppGRPC AppProtocol = "grpc"
	// AppWS is WebSocket over HTTP/1.1 ("kubernetes.io/ws").
	AppWS AppProtocol = "kubernetes.io/ws"
	// AppOpaque is any declared protocol that is none of the above: bytes.
	AppOpaque AppProtocol = "opaque"
)

// FrontendKey identifies one port of one service as clients dial it, with the
// routes that bind clients of one namespace.
type FrontendKey struct {
	Namespace string   `json:"namespace"`
	Name      string   `json:"name"`
	Port      uint16   `json:"port"`
	Protocol  Protocol `json:"protocol"`
	// ClientNamespace is empty for the frontend that all clients see (producer
	// routes), and a namespace for the one that its own consumer routes shape.
	// The more specific frontend wins for clients of that namespace.
	ClientNamespace string `json:"clientNamespace,omitempty"`
}

// String returns namespace/name:port/protocol, with "@client-namespace" when scoped.
func (k FrontendKey) String() string {
	s := fmt.Sprintf("%s/%s:%d/%s", k.Namespace, k.Name, k.Port, k.Protocol)
	if k.ClientNamespace != "" {
		s += "@" + k.ClientNamespace
	}
	return s
}

// Backend returns the key of the service port itself as a destination.
func (k FrontendKey) Backend() BackendKey {
	return BackendKey{Namespace: k.Namespace, Name: k.Name, Port: k.Port, Protocol: k.Protocol}
}

// BackendKey identifies one port of one service as a destination of traffic.
type BackendKey struct {
	Namespace string   `json:"namespace"`
	Name      string   `json:"name"`
	Port      uint16   `json:"port"`
	Protocol  Protocol `json:"protocol"`
}

// String returns namespace/name:port/protocol.
func (k BackendKey) String() string {
	return fmt.Sprintf("%s/%s:%d/%s", k.Namespace, k.Name, k.Port, k.Protocol)
}

// Frontend is one port of a service as clients see it: the addresses that they
// dial, and what becomes of their connections. Exactly one of L4 and HTTP is
// set; which one decides whether the kernel or Envoy takes the connection.
type Frontend struct {
	Key FrontendKey `json:"key"`
	// PortName is the port's name in the Service, possibly empty.
	PortName string `json:"portName,omitempty"`
	// VIPs are the service's cluster addresses, both families, sorted. Headless
	// services have no frontend.
	VIPs        []netip.Addr `json:"vips"`
	AppProtocol AppProtocol  `json:"appProtocol,omitempty"`
	// Affinity is the time for which a client stays with its endpoint
	// (sessionAffinity ClientIP); zero means none.
	Affinity time.Duration `json:"affinity,omitempty"`
	// L4 is set when the kernel balances connections at connect().
	L4 *L4Routing `json:"l4,omitempty"`
	// HTTP is set when Envoy routes requests.
	HTTP *HTTPRouting `json:"http,omitempty"`
	// Why says in one sentence why this frontend is handled where it is, for
	// explain: "HTTPRoute shop/cart attaches to port 80".
	Why    string `json:"why"`
	Origin Origin `json:"origin"`
}

// L4Routing tells how the kernel chooses a backend at connect().
type L4Routing struct {
	// Backends share new connections by weight. One whose Invalid is set gets
	// its share refused, as TCPRoute's backendRefs demand. Never empty: a
	// frontend without routes holds its own backend.
	Backends []WeightedBackend `json:"backends"`
	// Origin is the route's rule, or the Service when no route attaches.
	Origin Origin `json:"origin"`
}

// WeightedBackend is one backendRef with its weight.
type WeightedBackend struct {
	Backend BackendKey `json:"backend"`
	Weight  uint32     `json:"weight"`
	// Invalid is empty for a usable reference, or the condition reason that
	// makes it unusable (BackendNotFound, InvalidKind, RefNotPermitted, ...).
	// Its share of the traffic is refused: ECONNREFUSED at L4, 500 at L7.
	Invalid string `json:"invalid,omitempty"`
	// Filters apply to requests that were sent to this backend only (HTTP).
	Filters []HTTPFilter `json:"filters,omitempty"`
}

// Backend is one port of a service as a destination. Its endpoints come and go
// on a path of their own (see [Endpoints]).
type Backend struct {
	Key         BackendKey  `json:"key"`
	AppProtocol AppProtocol `json:"appProtocol,omitempty"`
	// Affinity is the Service's ClientIP session affinity, zero for none.
	Affinity time.Duration `json:"affinity,omitempty"`
	// TLS is how gateways speak to it; clients of the mesh do not.
	TLS    *BackendTLS `json:"tls,omitempty"`
	Origin Origin      `json:"origin"`
}

// Endpoints are the addresses that serve one backend now: the ready ones, or
// the serving-but-terminating ones when none is ready. Sorted by address,
// without duplicates. An empty list means connection refused, or 503.
type Endpoints struct {
	Key       BackendKey `json:"key"`
	Endpoints []Endpoint `json:"endpoints"`
}

// Endpoint is one address that serves a backend.
type Endpoint struct {
	Addr netip.AddrPort `json:"addr"`
	// Zone and Node are where the endpoint runs; empty when not known.
	Zone string `json:"zone,omitempty"`
	Node string `json:"node,omitempty"`
	// Target is the object behind the address (a Pod), when the slice names it.
	Target ObjectRef `json:"target,omitzero"`
}
