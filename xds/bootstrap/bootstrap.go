// Package bootstrap writes the file that Envoy starts with: where its
// configuration comes from, and nothing that the mesh says.
//
// It owns that file's content, and is pure: the same [Config] gives the same
// bytes, so that a changed file means a changed Envoy. It must not know how
// Envoy is run (that is package envoy) or what it is sent (package xds).
package bootstrap

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	internallistenerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/bootstrap/internal_listener/v3"
	upstreamhttpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
)

// Config is what the bootstrap file depends on.
type Config struct {
	// NodeID names this Envoy to the xDS server.
	NodeID string
	// AdminSocket and XDSSocket are paths of unix sockets.
	AdminSocket, XDSSocket string
	// MaxHeap is the size of the heap, in bytes, from which Envoy sheds load; zero
	// means never.
	MaxHeap uint64
	// MaxConnections is the number of client connections that Envoy holds at most;
	// zero means 1,000,000.
	MaxConnections int64
}

// NodeNetns is where Envoy finds the node's own network namespace, that in which
// it was started: a descriptor that it is started with. Without it a socket is made in the
// network namespace that the thread is in, and in Envoy 1.40 a thread that fails
// to bind in another one stays there.
const NodeNetns = "/proc/self/fd/3"

// xdsCluster is the one static resource: the way to everything else.
const xdsCluster = "xds"

// JSON returns the bootstrap file.
func JSON(c Config) ([]byte, error) {
	overload, err := overloadManager(c)
	if err != nil {
		return nil, fmt.Errorf("write Envoy's bootstrap: %w", err)
	}
	runtime, err := runtimeLayers()
	if err != nil {
		return nil, fmt.Errorf("write Envoy's bootstrap: %w", err)
	}
	xds, err := xdsServer(c.XDSSocket)
	if err != nil {
		return nil, fmt.Errorf("write Envoy's bootstrap: %w", err)
	}
	internal, err := anypb.New(&internallistenerv3.InternalListener{})
	if err != nil {
		return nil, fmt.Errorf("write Envoy's bootstrap: %w", err)
	}
	return indented(&bootstrapv3.Bootstrap{
		// Listeners that only Envoy itself reaches; copies of requests need one.
		BootstrapExtensions: []*corev3.TypedExtensionConfig{{Name: "envoy.bootstrap.internal_listener", TypedConfig: internal}},

		Node:             &corev3.Node{Id: c.NodeID, Cluster: "sluice"},
		Admin:            &bootstrapv3.Admin{Address: pipe(c.AdminSocket, 0o600)},
		StaticResources:  &bootstrapv3.Bootstrap_StaticResources{Clusters: []*clusterv3.Cluster{xds}},
		DynamicResources: dynamic(),
		LayeredRuntime:   runtime,
		OverloadManager:  overload,
		StatsConfig:      stats(),
		DeferredStatOptions: &bootstrapv3.Bootstrap_DeferredStatOptions{
			EnableDeferredCreationStats: true, // statistics of a cluster cost nothing before its first request
		},
	})
}

func pipe(path string, mode uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: path, Mode: mode}}}
}

// dynamic says that clusters and listeners come over one delta stream, and that
// Envoy soon asks again when the server is away. It serves nothing before it has
// them, however long that takes: one that takes over from another by hot restart
// would otherwise do so after a while without any.
func dynamic() *bootstrapv3.Bootstrap_DynamicResources {
	ads := &corev3.ConfigSource{
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
		ResourceApiVersion:    corev3.ApiVersion_V3,
		InitialFetchTimeout:   durationpb.New(0),
	}
	return &bootstrapv3.Bootstrap_DynamicResources{
		LdsConfig: ads,
		CdsConfig: ads,
		AdsConfig: &corev3.ApiConfigSource{
			ApiType:                   corev3.ApiConfigSource_DELTA_GRPC,
			TransportApiVersion:       corev3.ApiVersion_V3,
			SetNodeOnFirstMessageOnly: true,
			GrpcServices: []*corev3.GrpcService{{
				TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{
					ClusterName: xdsCluster,
					RetryPolicy: &corev3.RetryPolicy{RetryBackOff: &corev3.BackoffStrategy{
						BaseInterval: durationpb.New(100 * time.Millisecond),
						MaxInterval:  durationpb.New(time.Second),
					}},
				}},
			}},
		},
	}
}

func xdsServer(socket string) (*clusterv3.Cluster, error) {
	http2, err := anypb.New(&upstreamhttpv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
					Http2ProtocolOptions: &corev3.Http2ProtocolOptions{},
				},
			},
		},
	})
	return &clusterv3.Cluster{
		Name:                          xdsCluster,
		ClusterDiscoveryType:          &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		ConnectTimeout:                durationpb.New(time.Second),
		TypedExtensionProtocolOptions: map[string]*anypb.Any{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
		LoadAssignment: &endpointv3.ClusterLoadAssignment{
			ClusterName: xdsCluster,
			Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
				HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: pipe(socket, 0)}},
			}}}},
		},
	}, err
}

// maxRegexSize is the size of a compiled regular expression that Envoy takes, in
// RE2's instructions. Package resolve refuses larger ones before Envoy would.
const maxRegexSize = 5000

// runtimeLayers lifts the limit of 100 on the size of compiled regular
// expressions: RE2 is linear, and [a-z]{1,200} is no attack.
func runtimeLayers() (*bootstrapv3.LayeredRuntime, error) {
	values, err := structpb.NewStruct(map[string]any{
		"re2.max_program_size.error_level": maxRegexSize,
		"re2.max_program_size.warn_level":  maxRegexSize,
	})
	return &bootstrapv3.LayeredRuntime{Layers: []*bootstrapv3.RuntimeLayer{
		{Name: "sluice", LayerSpecifier: &bootstrapv3.RuntimeLayer_StaticLayer{StaticLayer: values}},
		{Name: "admin", LayerSpecifier: &bootstrapv3.RuntimeLayer_AdminLayer_{AdminLayer: &bootstrapv3.RuntimeLayer_AdminLayer{}}},
	}}, err
}

// indented is the file for eyes and for comparing: protojson varies its white
// space on purpose.
func indented(m proto.Message) ([]byte, error) {
	b, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("write Envoy's bootstrap: %w", err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		return nil, fmt.Errorf("write Envoy's bootstrap: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}
