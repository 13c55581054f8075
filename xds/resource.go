package xds

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"sluice.io/sluice/model"
)

// kind is a type of resource. The order is the one in which Envoy must learn of
// them.
type kind int

const (
	clusters kind = iota
	endpoints
	secrets
	listeners
	scopes
	routes
	kinds
)

var typeURLs = [kinds]string{
	clusters:  resourcev3.ClusterType,
	endpoints: resourcev3.EndpointType,
	secrets:   resourcev3.SecretType,
	listeners: resourcev3.ListenerType,
	scopes:    resourcev3.ScopedRouteType,
	routes:    resourcev3.RouteType,
}

var kindNames = [kinds]string{
	clusters: "clusters", endpoints: "endpoints", secrets: "secrets", listeners: "listeners", scopes: "scopes", routes: "routes",
}

// String returns the plural that operators read.
func (k kind) String() string { return kindNames[k] }

// kindOf finds the kind of a type URL.
func kindOf(typeURL string) (kind, bool) {
	for k, u := range typeURLs {
		if u == typeURL {
			return kind(k), true
		}
	}
	return 0, false
}

// wildcard tells whether Envoy asks for all resources of the kind, and not for
// each by name.
func (k kind) wildcard() bool { return k == clusters || k == listeners || k == scopes }

// always tells whether each Envoy asks for the kind, whatever it has been sent.
func (k kind) always() bool { return k == clusters || k == listeners }

// resource is one resource, marshalled once. Immutable.
type resource struct {
	kind   kind
	wire   *discoveryv3.Resource
	origin model.Origin
	// parents are the resources that make Envoy ask for this one: a cluster for
	// endpoints, listeners for routes, either for secrets.
	parents []key
}

// key names a resource.
type key struct {
	kind kind
	name string
}

func (r *resource) name() string    { return r.wire.GetName() }
func (r *resource) version() string { return r.wire.GetVersion() }

// newResource marshals a message. The version is a hash of the content, so that
// it outlives restarts: an Envoy that comes back with what it has is sent only
// what differs.
func newResource(k kind, name string, m proto.Message, origin model.Origin, parents ...key) (*resource, error) {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode %s %q: %w", k, name, err)
	}
	sum := sha256.Sum256(body)
	return &resource{
		kind: k,
		wire: &discoveryv3.Resource{
			Name:     name,
			Version:  base64.RawURLEncoding.EncodeToString(sum[:12]),
			Resource: &anypb.Any{TypeUrl: typeURLs[k], Value: body},
		},
		origin:  origin,
		parents: parents,
	}, nil
}
