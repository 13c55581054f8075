package xds

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	// Linked in so that what is packed in resources can be printed.
	_ "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"sluice.io/sluice/model"
	"sluice.io/sluice/xds/translate"
)

// Resources are the Envoy resources that a mesh makes, each kind sorted by name.
type Resources struct {
	Clusters  []proto.Message
	Endpoints []proto.Message
	// Secrets are without their private keys.
	Secrets   []proto.Message
	Listeners []proto.Message
	Scopes    []proto.Message
	Routes    []proto.Message
	// Unfit are those that could not be encoded.
	Unfit []Rejection
}

// Translate returns all resources that a mesh makes, with the workloads' mounts
// below a folder.
func Translate(m *model.Mesh, netnsDir string) Resources {
	c := newPlan(translate.Options{NetnsDir: netnsDir}).grow(m.All())
	return Resources{
		Clusters:  c.messages(clusters),
		Endpoints: c.messages(endpoints),
		Secrets:   withoutKeys(c.messages(secrets)),
		Listeners: c.messages(listeners),
		Scopes:    c.messages(scopes),
		Routes:    c.messages(routes),
		Unfit:     slices.SortedFunc(maps.Values(c.unfit), compareRejections),
	}
}

func (c *change) messages(k kind) []proto.Message {
	out := []proto.Message{}
	for _, name := range slices.Sorted(maps.Keys(c.set[k])) {
		if m, err := c.set[k][name].wire.GetResource().UnmarshalNew(); err == nil {
			out = append(out, m)
		}
	}
	return out
}

// withoutKeys takes private keys out of secrets.
func withoutKeys(ms []proto.Message) []proto.Message {
	for _, m := range ms {
		if s, ok := m.(*tlsv3.Secret); ok && s.GetTlsCertificate() != nil {
			s.GetTlsCertificate().PrivateKey = nil
		}
	}
	return ms
}

// MarshalJSON gives the resources by kind, in Envoy's own JSON. The same mesh
// gives the same bytes.
func (r Resources) MarshalJSON() ([]byte, error) {
	out := map[string][]json.RawMessage{}
	for name, ms := range map[string][]proto.Message{
		"clusters": r.Clusters, "endpoints": r.Endpoints, "secrets": r.Secrets, "listeners": r.Listeners, "scopes": r.Scopes, "routes": r.Routes,
	} {
		out[name] = []json.RawMessage{}
		for _, m := range ms {
			b, err := stableJSON(m)
			if err != nil {
				return nil, fmt.Errorf("write %s as JSON: %w", name, err)
			}
			out[name] = append(out[name], b)
		}
	}
	return json.Marshal(out)
}

// stableJSON undoes the white space that protojson varies on purpose.
func stableJSON(m proto.Message) ([]byte, error) {
	b, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = json.Compact(&out, b)
	return out.Bytes(), err
}
