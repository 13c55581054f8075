package bootstrap

import (
	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"
	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	downstreamcxv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	fixedheapv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/fixed_heap/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	connectionsMonitor = "envoy.resource_monitors.global_downstream_max_connections"
	heapMonitor        = "envoy.resource_monitors.fixed_heap"
)

// overloadManager bounds the connections, and with MaxHeap the memory: Envoy
// gives memory back at 90 %, and answers 503 to new requests at 97 %.
func overloadManager(c Config) (*overloadv3.OverloadManager, error) {
	if c.MaxConnections == 0 {
		c.MaxConnections = 1_000_000
	}
	limit, err := monitor(connectionsMonitor, &downstreamcxv3.DownstreamConnectionsConfig{
		MaxActiveDownstreamConnections: c.MaxConnections,
	})
	m := &overloadv3.OverloadManager{ResourceMonitors: []*overloadv3.ResourceMonitor{limit}}
	if c.MaxHeap == 0 || err != nil {
		return m, err
	}
	heap, err := monitor(heapMonitor, &fixedheapv3.FixedHeapConfig{MaxHeapSizeBytes: c.MaxHeap})
	m.RefreshInterval = durationpb.New(250e6)
	m.ResourceMonitors = append(m.ResourceMonitors, heap)
	m.Actions = []*overloadv3.OverloadAction{
		whenHeap("envoy.overload_actions.shrink_heap", 0.90),
		whenHeap("envoy.overload_actions.stop_accepting_requests", 0.97),
	}
	return m, err
}

func monitor(name string, config proto.Message) (*overloadv3.ResourceMonitor, error) {
	packed, err := anypb.New(config)
	return &overloadv3.ResourceMonitor{
		Name:       name,
		ConfigType: &overloadv3.ResourceMonitor_TypedConfig{TypedConfig: packed},
	}, err
}

func whenHeap(action string, share float64) *overloadv3.OverloadAction {
	return &overloadv3.OverloadAction{Name: action, Triggers: []*overloadv3.Trigger{{
		Name: heapMonitor,
		TriggerOneof: &overloadv3.Trigger_Threshold{
			Threshold: &overloadv3.ThresholdTrigger{Value: share},
		},
	}}}
}

// stats names the statistics that are kept: those of the whole Envoy, and few of
// each cluster. Envoy would keep about a hundred for each cluster, and a dozen
// for each route configuration.
func stats() *metricsv3.StatsConfig {
	keep := &matcherv3.ListStringMatcher{}
	for _, p := range []string{
		"server.", "cluster_manager.", "listener_manager.", "control_plane.", "overload.", "runtime.",
		"listener.pod.", "listener.vip.", "tcp.refused.", "cluster.xds.",
		"http.mesh.downstream_", "http.mesh.no_",
		"listener.gateway", "http.gateway.downstream_", "http.gateway.no_", "tcp.gateway.", "udp.gateway.",
	} {
		keep.Patterns = append(keep.Patterns, &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: p}})
	}
	for _, s := range []string{
		".upstream_cx_total", ".upstream_cx_connect_fail", ".upstream_rq_total",
	} {
		keep.Patterns = append(keep.Patterns, &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Suffix{Suffix: s}})
	}
	return &metricsv3.StatsConfig{StatsMatcher: &metricsv3.StatsMatcher{
		StatsMatcher: &metricsv3.StatsMatcher_InclusionList{InclusionList: keep},
	}}
}
