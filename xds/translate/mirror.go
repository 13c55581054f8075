package translate

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	setstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/set_filter_state/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"sluice.io/sluice/model"
)

// Envoy's copies of requests know nothing of the connection that the request
// came on: they would leave from Envoy's own network namespace, with the node's
// address. So a copy takes a detour inside Envoy: it goes to the mirror listener
// with two headers, which say whose it is and where it is meant to go, and which
// end there.
const (
	mirrorListener = "sluice:mirror"
	mirrorHTTP1    = "sluice:mirror/http1"
	mirrorHTTP2    = "sluice:mirror/http2"
	mirrorNetns    = "x-sluice-mirror-netns"
	mirrorTo       = "x-sluice-mirror-to"
)

// mirrorPatience is how long a backend may take to answer a copy, from its end.
const mirrorPatience = 30e9

// MirrorListener takes the copies, and sends them on from the network namespace
// of the client whose request it was.
func MirrorListener() *listenerv3.Listener {
	return &listenerv3.Listener{
		Name:              mirrorListener,
		StatPrefix:        "mirror",
		ListenerSpecifier: &listenerv3.Listener_InternalListener{InternalListener: &listenerv3.Listener_InternalListenerConfig{}},
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{
			networkFilter("envoy.filters.network.http_connection_manager", typed(mirrorHTTP())),
		}}},
	}
}

func mirrorHTTP() *hcmv3.HttpConnectionManager {
	h := connectionManager()
	h.StatPrefix = "mirror"
	h.HttpFilters = []*hcmv3.HttpFilter{
		{Name: "envoy.filters.http.set_filter_state", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: typed(&setstatev3.Config{
			OnRequestHeaders: netnsFrom("%REQ(" + mirrorNetns + ")%"),
		})}},
		router,
	}
	h.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
		Name:                   mirrorListener,
		RequestHeadersToRemove: []string{mirrorNetns, mirrorTo},
		VirtualHosts: []*routev3.VirtualHost{{
			Name: "all", Domains: []string{"*"},
			Routes: []*routev3.Route{{
				Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
				Action: &routev3.Route_Route{Route: &routev3.RouteAction{
					ClusterSpecifier: &routev3.RouteAction_ClusterHeader{ClusterHeader: mirrorTo},
					Timeout:          durationpb.New(mirrorPatience),
				}},
			}},
		}},
	}}
	return h
}

// MirrorClusters are the ways to the mirror listener, by protocol. Envoy forgets
// what the client spoke when it copies: copies of HTTP requests are HTTP/1.1 and
// those of gRPC calls HTTP/2, unless the backend declares its protocol.
func MirrorClusters() []*clusterv3.Cluster {
	return []*clusterv3.Cluster{mirrorCluster(mirrorHTTP1, upstreamHTTP1), mirrorCluster(mirrorHTTP2, upstreamHTTP2)}
}

func mirrorCluster(name string, protocol *anypb.Any) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                          name,
		ClusterDiscoveryType:          &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		CircuitBreakers:               noBreakers,
		TypedExtensionProtocolOptions: map[string]*anypb.Any{httpOptionsName: protocol},
		LoadAssignment: &endpointv3.ClusterLoadAssignment{
			ClusterName: name,
			Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
				HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: &corev3.Address{
					Address: &corev3.Address_EnvoyInternalAddress{EnvoyInternalAddress: &corev3.EnvoyInternalAddress{
						AddressNameSpecifier: &corev3.EnvoyInternalAddress_ServerListenerName{ServerListenerName: mirrorListener},
					}},
				}}},
			}}}},
		},
	}
}

// mirrors are the backends that get copies of requests.
func (b *builder) mirrors(ms []*model.Mirror, rule *model.HTTPRule) []*routev3.RouteAction_RequestMirrorPolicy {
	way := mirrorHTTP1
	if rule.GRPC {
		way = mirrorHTTP2
	}
	var out []*routev3.RouteAction_RequestMirrorPolicy
	for _, m := range ms {
		if m.Numerator == 0 {
			continue
		}
		p := &routev3.RouteAction_RequestMirrorPolicy{DisableShadowHostSuffixAppend: true}
		if to := b.use(b.one(m.Backend)); b.outlet.Gateway {
			p.Cluster = to // copies may leave from Envoy's own network namespace, as all else does
		} else {
			p.Cluster = way
			p.RequestHeadersMutations = []*mutationv3.HeaderMutation{
				overwrite(mirrorNetns, netnsOfClient), overwrite(mirrorTo, literal(to)),
			}
		}
		if m.Numerator < m.Denominator {
			p.RuntimeFraction = fraction(uint64(m.Numerator), uint64(m.Denominator))
		}
		out = append(out, p)
	}
	return out
}

func overwrite(name, format string) *mutationv3.HeaderMutation {
	return &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_Append{Append: &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: name, Value: format},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}}}
}
