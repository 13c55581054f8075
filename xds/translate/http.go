package translate

import (
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	sessionv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/stateful_session/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	earlyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	preservecasev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/header_formatters/preserve_case/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"sluice.io/sluice/model"
)

// The names of the HTTP filters, also the keys of their settings on routes.
const (
	corsFilter    = "envoy.filters.http.cors"
	sessionFilter = "envoy.filters.http.stateful_session"
)

// filters are the same for all frontends: what a rule asks for is switched on
// on its routes, so a changed rule never changes a listener.
var filters = []*hcmv3.HttpFilter{
	dormant(corsFilter, corsSettings),
	dormant(sessionFilter, sessionSettings),
	router,
}

// Without a word on the route, these do nothing.
var (
	corsSettings    = typed(&corsv3.Cors{})
	sessionSettings = typed(&sessionv3.StatefulSession{})
)

// router adds no x-envoy-* headers to what applications say.
var router = &hcmv3.HttpFilter{Name: "envoy.filters.http.router", ConfigType: &hcmv3.HttpFilter_TypedConfig{
	TypedConfig: typed(&routerv3.Router{SuppressEnvoyHeaders: true}),
}}

// dormant is a filter that costs nothing on routes that have no settings for it.
func dormant(name string, config *anypb.Any) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, Disabled: true, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: config}}
}

// httpFilter routes what clients say by the route configuration that a
// frontend has for a family.
func httpFilter(k model.FrontendKey, family Family) *listenerv3.Filter {
	h := connectionManager()
	h.HttpFilters = filters
	h.HttpProtocolOptions.DefaultHostForHttp_10 = k.Name + "." + k.Namespace
	h.RouteSpecifier = &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{
		ConfigSource:    ads(),
		RouteConfigName: RoutesName(k, family),
	}}
	return networkFilter("envoy.filters.network.http_connection_manager", typed(h))
}

// connectionManager reads HTTP/1 or HTTP/2, whichever the client speaks.
// docs/decisions/0021 says what it leaves alone and why.
func connectionManager() *hcmv3.HttpConnectionManager {
	return &hcmv3.HttpConnectionManager{
		CodecType:      hcmv3.HttpConnectionManager_AUTO,
		StatPrefix:     "mesh",
		UpgradeConfigs: []*hcmv3.HttpConnectionManager_UpgradeConfig{{UpgradeType: "websocket"}},

		HttpProtocolOptions: &corev3.Http1ProtocolOptions{
			AcceptHttp_10:   true,
			HeaderKeyFormat: keepCase,
			EnableTrailers:  true,
		},
		Http2ProtocolOptions: &corev3.Http2ProtocolOptions{AllowConnect: true},

		EarlyHeaderMutationExtensions: []*corev3.TypedExtensionConfig{ownSteering},
		UseRemoteAddress:              no,
		SkipXffAppend:                 true,
		GenerateRequestId:             no,
		PreserveExternalRequestId:     true,
		ServerHeaderTransformation:    hcmv3.HttpConnectionManager_PASS_THROUGH,
		Proxy_100Continue:             true,
		NormalizePath:                 yes,
		MaxRequestHeadersKb:           u32(128),
		CommonHttpProtocolOptions:     &corev3.HttpProtocolOptions{MaxHeadersCount: u32(500)},

		// No clock ends a stream that is open: gRPC streams and WebSockets may be
		// silent for hours, and a client of this node that dies closes its socket.
		StreamIdleTimeout: zero,
	}
}

// ownSteering drops the request headers by which a client would steer Envoy:
// timeouts and retries are the routes'.
var ownSteering = extension("envoy.http.early_header_mutation.header_mutation", &earlyv3.HeaderMutation{Mutations: drops(
	"x-envoy-retry-on", "x-envoy-retry-grpc-on", "x-envoy-max-retries",
	"x-envoy-retriable-status-codes", "x-envoy-retriable-header-names",
	"x-envoy-upstream-rq-timeout-ms", "x-envoy-upstream-rq-per-try-timeout-ms", "x-envoy-upstream-stream-duration-ms",
	"x-envoy-upstream-rq-timeout-alt-response", "x-envoy-upstream-alt-stat-name", "x-envoy-hedge-on-per-try-timeout",
)})

func drops(names ...string) []*mutationv3.HeaderMutation {
	out := make([]*mutationv3.HeaderMutation, len(names))
	for i, n := range names {
		out[i] = &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_Remove{Remove: n}}
	}
	return out
}

// keepCase passes HTTP/1 header names and reason phrases on as they were written.
var keepCase = &corev3.Http1ProtocolOptions_HeaderKeyFormat{
	HeaderFormat: &corev3.Http1ProtocolOptions_HeaderKeyFormat_StatefulFormatter{
		StatefulFormatter: extension("envoy.http.stateful_header_formatters.preserve_case",
			&preservecasev3.PreserveCaseFormatterConfig{ForwardReasonPhrase: true}),
	},
}
