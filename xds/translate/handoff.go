package translate

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	valuev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/set_filter_state/v3"
	setstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/set_filter_state/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

const (
	// clientNetns is where Envoy itself writes the mount path of the network
	// namespace that a connection was accepted in. It survives the hand-off.
	clientNetns = "envoy.network.network_namespace"
	// upstreamNetns is where the filter_state_override address selector reads
	// the network namespace of the upstream connection.
	upstreamNetns = "envoy.network.upstream_bind_override.network_namespace"
	// hashableString makes the value a part of the key of upstream connection
	// pools. With the plain string factory a request of one workload goes out on
	// another's pooled connection: with the other's address and identity.
	hashableString = "envoy.hashable_string"
)

// netnsOfClient is the mount path of the client's network namespace, as a format.
const netnsOfClient = "%FILTER_STATE(" + clientNetns + ":PLAIN)%"

// carryNetns makes upstream connections start in the client's own network
// namespace, and keeps the pools of upstream connections apart by it.
var carryNetns = networkFilter("envoy.filters.network.set_filter_state",
	typed(&setstatev3.Config{OnNewConnection: netnsFrom(netnsOfClient)}))

// netnsFrom sets the network namespace of upstream connections from a format.
func netnsFrom(format string) []*valuev3.FilterStateValue {
	return []*valuev3.FilterStateValue{{
		Key:        &valuev3.FilterStateValue_ObjectKey{ObjectKey: upstreamNetns},
		FactoryKey: hashableString,
		Value: &valuev3.FilterStateValue_FormatString{FormatString: &corev3.SubstitutionFormatString{
			Format: &corev3.SubstitutionFormatString_TextFormatSource{TextFormatSource: inlineString(format)},
		}},
		SharedWithUpstream: valuev3.FilterStateValue_ONCE,
	}}
}

func networkFilter(name string, config *anypb.Any) *listenerv3.Filter {
	return &listenerv3.Filter{Name: name, ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: config}}
}
