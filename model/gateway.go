package model

import (
	"cmp"
	"fmt"
	"net/netip"
)

// GatewayKey identifies a Gateway.
type GatewayKey struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// String returns namespace/name.
func (k GatewayKey) String() string { return k.Namespace + "/" + k.Name }

// PortKey identifies one port of a gateway. All listeners of the Gateway, and of
// its ListenerSets, that have the port share it.
type PortKey struct {
	Gateway  GatewayKey `json:"gateway"`
	Port     uint16     `json:"port"`
	Protocol Protocol   `json:"protocol"`
}

// String returns namespace/name:port/protocol.
func (k PortKey) String() string { return fmt.Sprintf("%s:%d/%s", k.Gateway, k.Port, k.Protocol) }

// GatewayPort is one port of a gateway as clients from outside see it. What it
// holds changes with listeners; routes by host name have objects of their own
// ([Host]).
type GatewayPort struct {
	Key PortKey `json:"key"`
	// Addresses are those that clients dial, of both families, sorted. Empty
	// means every address of the node that nothing else claims.
	Addresses []netip.Addr `json:"addresses,omitempty"`
	// Target is the port at which the nodes' own addresses are dialled by a load
	// balancer that stands before them; zero when there is none. It is one of
	// FirstTarget to LastTarget.
	Target uint16 `json:"target,omitempty"`
	// Chains tell what becomes of connections. No server name is in two of them,
	// and at most one chain has none. Empty when Datagrams is set.
	Chains []Chain `json:"chains,omitempty"`
	// Datagrams is set for UDP ports that a UDPRoute attaches to.
	Datagrams *L4Routing `json:"datagrams,omitempty"`
	// ClientCertificate is the [KeyPair] that the gateway shows to backends that
	// have a [BackendTLS]; the zero value means none.
	ClientCertificate ObjectRef `json:"clientCertificate,omitzero"`
	Origin            Origin    `json:"origin"`
}

// FirstTarget to LastTarget are the ports of nodes that gateways may have as
// targets. Whoever may make a Service must not get others: they are the nodes'.
const (
	FirstTarget = 20000
	LastTarget  = 29999
)

// Chain is what becomes of the connections that ask for certain servers.
type Chain struct {
	// Name is unique in the port, and does not change when other chains do.
	Name string `json:"name"`
	// ServerNames are what clients ask for in TLS (SNI), in lower case, with
	// wildcards such as "*.example.com", which stand for one or more labels.
	// Empty means everything that no other chain takes; for a chain without TLS,
	// connections in the clear.
	ServerNames []string `json:"serverNames,omitempty"`
	// TLS is nil for connections in the clear.
	TLS *TLS `json:"tls,omitempty"`
	// HTTP tells that requests are routed by their host: see [Host].
	// Otherwise L4 is set, or connections are closed.
	HTTP   bool       `json:"http,omitempty"`
	L4     *L4Routing `json:"l4,omitempty"`
	Origin Origin     `json:"origin"`
}

// TLS is how a gateway's chain treats TLS.
type TLS struct {
	// Passthrough leaves the connection's bytes as they are. Nothing else is set then.
	Passthrough bool `json:"passthrough,omitempty"`
	// Certificates are [KeyPair] references, at least one. Which of them serves
	// is up to what the client can verify.
	Certificates []ObjectRef       `json:"certificates,omitempty"`
	Client       *ClientValidation `json:"client,omitempty"`
}

// ClientValidation asks clients for certificates.
type ClientValidation struct {
	// Bundles are [Bundle] references: whoever any of them vouches for may come in.
	Bundles []ObjectRef `json:"bundles"`
	// Optional lets clients in whose certificate is missing or not valid.
	Optional bool `json:"optional,omitempty"`
}

// HostKey identifies the routes for one host name of one chain.
type HostKey struct {
	Port  PortKey `json:"port"`
	Chain string  `json:"chain"`
	// Domain is a host name in lower case, "*.example.com" for all names below
	// example.com, or "*". The most specific one that a request's host matches
	// takes the request, and no other.
	Domain string `json:"domain"`
}

// String returns namespace/name:port/protocol chain domain.
func (k HostKey) String() string { return k.Port.String() + " " + k.Chain + " " + k.Domain }

// Host is what becomes of requests for one host name on a gateway's chain. A
// request for a host that has none gets 404.
type Host struct {
	Key HostKey `json:"key"`
	// HTTP is nil when no route is for this name.
	HTTP *HTTPRouting `json:"http,omitempty"`
	// Misdirected answers 421: another chain of the port serves this name.
	Misdirected bool   `json:"misdirected,omitempty"`
	Origin      Origin `json:"origin"`
}

// KeyPair is a certificate chain with its private key. It never leaves the
// process but to Envoy, so neither is ever written as JSON.
type KeyPair struct {
	Ref ObjectRef `json:"ref"`
	// Certificates and PrivateKey are PEM, checked to belong together.
	Certificates []byte `json:"-"`
	PrivateKey   []byte `json:"-"`
	Origin       Origin `json:"origin"`
}

// Bundle is a set of certificate authorities.
type Bundle struct {
	Ref ObjectRef `json:"ref"`
	// Certificates are PEM, at least one.
	Certificates []byte `json:"-"`
	Origin       Origin `json:"origin"`
}

// BackendTLS is how gateways speak TLS to a backend, from a BackendTLSPolicy.
type BackendTLS struct {
	// ServerName is sent as SNI, and is the name that the certificate must have
	// when Names is empty.
	ServerName string `json:"serverName"`
	// Names are those of which the certificate must have one.
	Names []SubjectName `json:"names,omitempty"`
	// Bundles are [Bundle] references. Empty, with System set, means the
	// system's own authorities.
	Bundles []ObjectRef `json:"bundles,omitempty"`
	System  bool        `json:"system,omitempty"`
	// Invalid is empty, or the reason for which the policy can't be followed:
	// then nothing may be sent to the backend.
	Invalid string `json:"invalid,omitempty"`
	Origin  Origin `json:"origin"`
}

// SubjectName is a subject alternative name.
type SubjectName struct {
	// URI tells a URI, such as a SPIFFE ID, from a DNS name.
	URI   bool   `json:"uri,omitempty"`
	Value string `json:"value"`
}

// ComparePorts orders by gateway, port and protocol.
func ComparePorts(a, b PortKey) int {
	return cmp.Or(cmp.Compare(a.Gateway.Namespace, b.Gateway.Namespace), cmp.Compare(a.Gateway.Name, b.Gateway.Name),
		cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol))
}

// Announcement says who answers for an address of a pool.
type Announcement struct {
	Addr netip.Addr `json:"addr"`
	// Node is the name of the node; empty means whichever reads this.
	Node   string `json:"node,omitempty"`
	Origin Origin `json:"origin"`
}
