package model

import "time"

// HTTPRouting is the ordered list of routes of one frontend: HTTPRoutes or
// GRPCRoutes, merged. The first entry that matches takes the request; a request
// that none takes gets 404 (HTTP) or UNIMPLEMENTED (gRPC).
type HTTPRouting struct {
	// GRPC tells that GRPCRoutes attach: gRPC statuses instead of HTTP ones.
	GRPC bool `json:"grpc,omitempty"`
	// Entries are in order of precedence, as the Gateway API defines it.
	Entries []HTTPEntry `json:"entries"`
}

// HTTPEntry is one match of one rule. The matches of a rule share the rule.
type HTTPEntry struct {
	Match HTTPMatch `json:"match"`
	Rule  *HTTPRule `json:"rule"`
}

// MatchKind tells how a string is compared.
type MatchKind string

// The ways to compare. MatchPrefix is by whole path elements, as the Gateway API
// defines PathPrefix: /foo matches /foo and /foo/bar, not /foobar.
const (
	MatchExact  MatchKind = "Exact"
	MatchPrefix MatchKind = "PathPrefix"
	MatchRegex  MatchKind = "RegularExpression"
)

// HTTPMatch is a conjunction: all that is set must hold. The zero value matches
// every request. gRPC method matches are written as a match on the path.
type HTTPMatch struct {
	// Path is nil when any path matches.
	Path *StringMatch `json:"path,omitempty"`
	// Method is empty when any method matches.
	Method  string       `json:"method,omitempty"`
	Headers []NamedMatch `json:"headers,omitempty"`
	Query   []NamedMatch `json:"query,omitempty"`
}

// StringMatch compares one string. Regular expressions are RE2 and must match
// the whole string.
type StringMatch struct {
	Kind  MatchKind `json:"kind"`
	Value string    `json:"value"`
}

// NamedMatch compares the value of a header (names are case-insensitive, kept
// in lower case; "host" matches the authority) or of a query parameter.
type NamedMatch struct {
	Name  string    `json:"name"`
	Kind  MatchKind `json:"kind"`
	Value string    `json:"value"`
}

// HTTPRule is what becomes of a request that an entry's match has taken.
type HTTPRule struct {
	Origin Origin `json:"origin"`
	// Filters apply in this order. At most one is a redirect.
	Filters []HTTPFilter `json:"filters,omitempty"`
	// Backends share requests by weight. Without a usable one (none, all
	// invalid, or weights adding up to zero), and without a redirect, the answer
	// is 500.
	Backends []WeightedBackend   `json:"backends,omitempty"`
	Timeouts HTTPTimeouts        `json:"timeouts,omitzero"`
	Retry    *HTTPRetry          `json:"retry,omitempty"`
	Session  *SessionPersistence `json:"session,omitempty"`
	// GRPC tells that the rule is a GRPCRoute's: failures are gRPC statuses.
	GRPC bool `json:"grpc,omitempty"`
}

// HTTPTimeouts are a rule's timeouts. Nil means that none was given; zero means
// that the timeout is switched off.
type HTTPTimeouts struct {
	// Request bounds the whole exchange, retries included.
	Request *time.Duration `json:"request,omitempty"`
	// BackendRequest bounds each attempt.
	BackendRequest *time.Duration `json:"backendRequest,omitempty"`
}

// HTTPRetry tells when and how often a failed attempt is repeated.
type HTTPRetry struct {
	// Codes are the response codes to retry on, besides connection failures.
	Codes []uint32 `json:"codes,omitempty"`
	// Attempts is the number of retries after the first attempt.
	Attempts uint32 `json:"attempts"`
	// Backoff is the least time between attempts; zero means Envoy's default.
	Backoff time.Duration `json:"backoff,omitempty"`
}

// SessionPersistence keeps a client with the endpoint that served it first.
type SessionPersistence struct {
	// Header is true for a session carried in a header, else it is a cookie.
	Header bool `json:"header,omitempty"`
	// Name is the cookie's or header's name; resolve makes one up when none is given.
	Name string `json:"name"`
	// TTL is a permanent cookie's lifetime; zero means a session cookie.
	TTL time.Duration `json:"ttl,omitempty"`
	// Path is the cookie's path, from the rule's match.
	Path string `json:"path,omitempty"`
}

// HTTPFilter is one step applied to a request or its response. Exactly one
// field is set.
type HTTPFilter struct {
	RequestHeaders  *HeaderModifier `json:"requestHeaders,omitempty"`
	ResponseHeaders *HeaderModifier `json:"responseHeaders,omitempty"`
	Redirect        *Redirect       `json:"redirect,omitempty"`
	Rewrite         *Rewrite        `json:"rewrite,omitempty"`
	Mirror          *Mirror         `json:"mirror,omitempty"`
	CORS            *CORS           `json:"cors,omitempty"`
}

// HeaderModifier sets, adds and removes headers, in that order.
type HeaderModifier struct {
	Set    []Header `json:"set,omitempty"`
	Add    []Header `json:"add,omitempty"`
	Remove []string `json:"remove,omitempty"`
}

// Header is a header's name and value.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// PathModifier replaces the whole path, or the prefix that the rule matched.
type PathModifier struct {
	// Full is the new path when Prefix is false.
	// With Prefix true, Value replaces the matched prefix.
	Prefix bool   `json:"prefix,omitempty"`
	Value  string `json:"value"`
}

// Redirect answers a request with a redirection.
type Redirect struct {
	Scheme string        `json:"scheme,omitempty"`
	Host   string        `json:"host,omitempty"`
	Path   *PathModifier `json:"path,omitempty"`
	// Port is the port of the Location header: zero when resolve found that none
	// has to be written.
	Port uint16 `json:"port,omitempty"`
	Code int    `json:"code"`
}

// Rewrite changes the host or path that the backend sees.
type Rewrite struct {
	Host string        `json:"host,omitempty"`
	Path *PathModifier `json:"path,omitempty"`
}

// Mirror sends a copy of requests to a backend, whose answers are dropped.
type Mirror struct {
	Backend BackendKey `json:"backend"`
	// Numerator of Denominator requests are mirrored.
	Numerator   uint32 `json:"numerator"`
	Denominator uint32 `json:"denominator"`
	// Invalid is as in [WeightedBackend]: an invalid mirror is left out.
	Invalid string `json:"invalid,omitempty"`
}

// CORS answers preflight requests and marks responses, as the Fetch standard defines.
type CORS struct {
	AllowOrigins     []string      `json:"allowOrigins,omitempty"`
	AllowMethods     []string      `json:"allowMethods,omitempty"`
	AllowHeaders     []string      `json:"allowHeaders,omitempty"`
	ExposeHeaders    []string      `json:"exposeHeaders,omitempty"`
	AllowCredentials bool          `json:"allowCredentials,omitempty"`
	MaxAge           time.Duration `json:"maxAge,omitempty"`
}
