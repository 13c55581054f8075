package translate

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	netnsselectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/local_address_selectors/filter_state_override/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"sluice.io/sluice/model"
	"sluice.io/sluice/xds/bootstrap"
)

// Destination is what one cluster sends to: the endpoints of one family of one
// backend; or of several that share sessions, in which case each has its part of
// the new sessions.
type Destination struct {
	// Name is the name of the cluster and of its endpoint assignment.
	Name   string
	Family Family
	Parts  []Part
	Outlet Outlet
	// Strict keeps the share of a part without endpoints from the others.
	Strict bool
}

// Part is one backend of a destination.
type Part struct {
	Backend model.BackendKey
	Weight  uint32
}

// To is the destination that is one backend.
func To(k model.BackendKey, f Family) Destination {
	return Destination{Name: f.name(k.String()), Family: f, Parts: []Part{{Backend: k, Weight: 1}}}
}

// Shared is the destination of several backends that share sessions. Its name
// tells the parts: another set or other weights are another cluster.
func Shared(parts []Part, f Family) Destination {
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = p.Backend.String() + "=" + strconv.FormatUint(uint64(p.Weight), 10)
	}
	return Destination{Name: f.name("session/" + strings.Join(names, ",")), Family: f, Parts: parts}
}

// Cluster is how Envoy speaks to a destination. Backends may be missing from
// the map; they then speak what the client speaks. One cluster serves all
// workloads of the node: its connections are made in the client's network
// namespace, and pooled apart. Those of gateways have clusters of their own.
func Cluster(d Destination, backends map[model.BackendKey]*model.Backend, o Options) *clusterv3.Cluster {
	if !Usable(d, backends) {
		return unusable(d)
	}
	app, affinity := speaks(d, backends)
	c := &clusterv3.Cluster{
		Name:                 d.Name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig:     &clusterv3.Cluster_EdsClusterConfig{EdsConfig: ads()},
		ConnectTimeout:       connectTimeout,
		LbPolicy:             clusterv3.Cluster_LEAST_REQUEST,
		CommonLbConfig:       commonLB,
		CircuitBreakers:      noBreakers,

		IgnoreHealthOnHostRemoval: true,
		UpstreamConnectionOptions: keepalive,
	}
	protocol := protocolOptions(app)
	if d.Outlet.Gateway {
		protocol = gatewayProtocol(d.Outlet, app)
		c.UpstreamBindConfig = bindOnNode
		secure(c, d, backends, o)
	} else {
		c.UpstreamBindConfig = bindInClientNetns
	}
	c.TypedExtensionProtocolOptions = map[string]*anypb.Any{httpOptionsName: protocol}
	switch {
	case len(d.Parts) > 1:
		c.CommonLbConfig = commonLBByLocality
	case affinity > 0 && d.Outlet.Gateway:
		c.LbPolicy, c.LoadBalancingPolicy = 0, d.affine()
	case affinity > 0:
		c.LbPolicy, c.LoadBalancingPolicy = 0, byClientNetns
	}
	return c
}

// unusable is the cluster of a destination that nothing may be sent to: it never
// has endpoints, which Envoy answers with 503.
func unusable(d Destination) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                 d.Name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		LoadAssignment:       &endpointv3.ClusterLoadAssignment{ClusterName: d.Name},
	}
}

// speaks is the protocol of a destination, and its affinity. Backends that share
// sessions share a cluster, and so the protocol of the first.
func speaks(d Destination, backends map[model.BackendKey]*model.Backend) (model.AppProtocol, time.Duration) {
	for _, p := range d.Parts {
		if b := backends[p.Backend]; b != nil {
			return b.AppProtocol, b.Affinity
		}
	}
	return model.AppAuto, 0
}

var connectTimeout = durationpb.New(5 * time.Second)

// commonLB never sends requests to endpoints known to be bad because few are
// left ("panic mode").
var commonLB = &clusterv3.Cluster_CommonLbConfig{HealthyPanicThreshold: &typev3.Percent{Value: 0}}

// commonLBByLocality shares by the weights of localities, which are the parts.
var commonLBByLocality = &clusterv3.Cluster_CommonLbConfig{
	HealthyPanicThreshold: &typev3.Percent{Value: 0},
	LocalityConfigSpecifier: &clusterv3.Cluster_CommonLbConfig_LocalityWeightedLbConfig_{
		LocalityWeightedLbConfig: &clusterv3.Cluster_CommonLbConfig_LocalityWeightedLbConfig{},
	},
}

// noBreakers lifts Envoy's default limits (1,024 connections, 3 retries at a
// time): nobody asked for them.
var noBreakers = &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
	MaxConnections:     u32(unlimited),
	MaxPendingRequests: u32(unlimited),
	MaxRequests:        u32(unlimited),
	MaxRetries:         u32(unlimited),
}}}

const unlimited = 1<<32 - 1

// keepalive finds endpoints that vanished without a word, since no clock ends a
// stream that is open.
var keepalive = &clusterv3.UpstreamConnectionOptions{TcpKeepalive: &corev3.TcpKeepalive{
	KeepaliveTime:     u32(60),
	KeepaliveInterval: u32(15),
	KeepaliveProbes:   u32(4),
}}

// bindInClientNetns starts connections in the network namespace that the filter
// state names ([carryNetns]), from whatever address the routes there give.
var bindInClientNetns = &corev3.BindConfig{
	SourceAddress: socket(netip.AddrPortFrom(netip.IPv4Unspecified(), 0)),
	ExtraSourceAddresses: []*corev3.ExtraSourceAddress{
		{Address: socket(netip.AddrPortFrom(netip.IPv6Unspecified(), 0))},
	},
	LocalAddressSelector: extension("envoy.upstream.local_address_selector.filter_state_override", &netnsselectorv3.Config{}),
}

// bindOnNode starts connections in the node's own network namespace, wherever the
// thread is that makes them.
var bindOnNode = &corev3.BindConfig{
	SourceAddress: inNetns(netip.IPv4Unspecified(), 0, bootstrap.NodeNetns).GetSocketAddress(),
	ExtraSourceAddresses: []*corev3.ExtraSourceAddress{
		{Address: inNetns(netip.IPv6Unspecified(), 0, bootstrap.NodeNetns).GetSocketAddress()},
	},
}
