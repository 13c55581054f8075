package explain

import (
	"sluice.io/sluice/model"
	"sluice.io/sluice/observe/gateways"
)

// Handler is who takes care of a connection.
type Handler string

// The handlers.
const (
	// HandlerNone leaves the connection alone: it goes where it was sent.
	HandlerNone Handler = "none"
	// HandlerKernel chooses an endpoint at connect(); no proxy is involved.
	HandlerKernel Handler = "kernel"
	// HandlerEnvoy routes each request on the node's Envoy.
	HandlerEnvoy Handler = "envoy"
)

// Verdict is what becomes of the connection or request in the end.
type Verdict string

// The verdicts.
const (
	// Untouched connections go where they were sent.
	Untouched Verdict = "untouched"
	// Forwarded ones reach an endpoint; if several backends share the traffic,
	// what each of them does with its share stands there.
	Forwarded Verdict = "forwarded"
	// Refused ones fail at connect().
	Refused Verdict = "refused"
	// Answered requests get their response from Envoy.
	Answered Verdict = "answered"
	// Closed connections are taken in and closed; datagrams are dropped.
	Closed Verdict = "closed"
)

// Answer explains a [Query]. Its JSON form is stable: fields may be added.
type Answer struct {
	Query  Query  `json:"query"`
	Client Client `json:"client"`
	// Target is the service port that was dialled; nil when it is none.
	Target *Target `json:"target,omitempty"`
	// Entrance is the part of a Gateway that a client outside comes in by.
	Entrance *Entrance `json:"entrance,omitempty"`
	// Handler takes care of the connection, and Why says why it does.
	Handler Handler `json:"handler"`
	Why     string  `json:"why"`
	// Rule takes the request or connection; nil when none does.
	Rule *Rule `json:"rule,omitempty"`
	// Passed are the rules that go before Rule, but do not match; the nearest to
	// matching first. MorePassed counts those that are not listed.
	Passed     []Passed `json:"passed,omitempty"`
	MorePassed int      `json:"morePassed,omitempty"`
	// Backends share the traffic.
	Backends []Backend `json:"backends,omitempty"`
	Outcome  Outcome   `json:"outcome"`
	// LeftOut are routes that name the Gateway and do not take part in it as they
	// ask to; MoreLeftOut counts those that are not listed.
	LeftOut     []gateways.Refusal `json:"leftOut,omitempty"`
	MoreLeftOut int                `json:"moreLeftOut,omitempty"`
	// Notes are further things worth knowing.
	Notes []string `json:"notes,omitempty"`
}

// Client is who connects.
type Client struct {
	Key    model.WorkloadKey `json:"key,omitzero"`
	Meshed bool              `json:"meshed"`
	// Place is the network namespace or cgroup that tells its sockets.
	Place  string        `json:"place,omitempty"`
	Origin *model.Origin `json:"origin,omitempty"`
}

// Target is a service port.
type Target struct {
	Frontend    model.FrontendKey `json:"frontend"`
	PortName    string            `json:"portName,omitempty"`
	VIPs        []string          `json:"vips,omitempty"`
	AppProtocol model.AppProtocol `json:"appProtocol,omitempty"`
	Origin      model.Origin      `json:"origin"`
}

// Entrance is where a client outside comes in. What is not known, because the
// connection does not get so far, is empty.
type Entrance struct {
	Gateway   model.GatewayKey `json:"gateway"`
	Origin    model.Origin     `json:"origin"`
	Port      uint16           `json:"port"`
	Protocol  model.Protocol   `json:"protocol"`
	Addresses []string         `json:"addresses,omitempty"`
	// Chain takes the connection, by its server name where there is TLS.
	Chain      string `json:"chain,omitempty"`
	ServerName string `json:"serverName,omitempty"`
	// TLS says what becomes of it, in words.
	TLS string `json:"tls,omitempty"`
	// Listener is whose the chain or the host is, and Domain the host's.
	Listener string        `json:"listener,omitempty"`
	At       *model.Origin `json:"at,omitempty"`
	Domain   string        `json:"domain,omitempty"`
}

// Rule is the rule that takes the traffic.
type Rule struct {
	Origin model.Origin `json:"origin"`
	// Match is the match that took the request, in words.
	Match string `json:"match,omitempty"`
	// Settings are the filters in their order, then timeouts, retries and session
	// persistence, in words.
	Settings []string `json:"settings,omitempty"`
}

// Passed is a match that goes before the one that took the request.
type Passed struct {
	Origin model.Origin `json:"origin"`
	Match  string       `json:"match"`
	// Why says what did not match.
	Why string `json:"why"`
}

// Backend is one share of the traffic.
type Backend struct {
	Backend model.BackendKey `json:"backend"`
	Weight  uint32           `json:"weight"`
	// Percent is the share of all traffic.
	Percent float64 `json:"percent"`
	// Invalid is why the reference cannot be used; empty when it can.
	Invalid string `json:"invalid,omitempty"`
	// Endpoints are those that can be chosen now.
	Endpoints []string `json:"endpoints,omitempty"`
	// Filters apply to this backend's share, in words.
	Filters []string `json:"filters,omitempty"`
	// TLS is how a gateway speaks TLS to the backend, in words.
	TLS string `json:"tls,omitempty"`
	// Outcome is what happens to this share.
	Outcome Outcome `json:"outcome"`
}

// Outcome is how it ends.
type Outcome struct {
	Verdict Verdict `json:"verdict"`
	// Status is the HTTP status, when Envoy answers.
	Status int `json:"status,omitempty"`
	// GRPC is the gRPC status, when Envoy answers a gRPC call.
	GRPC string `json:"grpc,omitempty"`
	// Location is where a redirect leads.
	Location string `json:"location,omitempty"`
	// Text says it in words.
	Text string `json:"text"`
}
