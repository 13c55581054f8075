package translate

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	sessionv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/stateful_session/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	preservecasev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/header_formatters/preserve_case/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"sluice.io/sluice/model"
)

// The names of the HTTP filters, also the keys of their settings on routes.
const (
	corsFilter    = "envoy.filters.http.cors"
	sessionFilter = "envoy.filters.http.stateful_session"
	routerFilter  = "envoy.filters.http.router"
)

// filters are the same for all frontends: what a rule asks for is switched on
// on its routes, so a changed rule never changes a listener.
var filters = []*hcmv3.HttpFilter{
	dormant(corsFilter, typed(&corsv3.Cors{})),
	dormant(sessionFilter, typed(&sessionv3.StatefulSession{})),
	{Name: routerFilter, ConfigType: &hcmv3.HttpFilter_TypedConfig{
		// The mesh adds no x-envoy-* headers to what applications say.
		TypedConfig: typed(&routerv3.Router{SuppressEnvoyHeaders: true}),
	}},
}

// dormant is a filter that costs nothing on routes that have no settings for it.
func dormant(name string, config *anypb.Any) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, Disabled: true, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: config}}
}

// httpFilter reads HTTP/1 or HTTP/2, whichever the client speaks, and routes by
// the frontend's route configuration. docs/decisions/0021 says what it leaves
// alone and why.
func httpFilter(f *model.Frontend) *listenerv3.Filter {
	return networkFilter("envoy.filters.network.http_connection_manager", typed(&hcmv3.HttpConnectionManager{
		CodecType:  hcmv3.HttpConnectionManager_AUTO,
		StatPrefix: "mesh",
		RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{
			ConfigSource:    ads(),
			RouteConfigName: RoutesName(f.Key),
		}},
		HttpFilters:    filters,
		UpgradeConfigs: []*hcmv3.HttpConnectionManager_UpgradeConfig{{UpgradeType: "websocket"}},

		HttpProtocolOptions: &corev3.Http1ProtocolOptions{
			AcceptHttp_10:         true,
			DefaultHostForHttp_10: f.Key.Name + "." + f.Key.Namespace,
			HeaderKeyFormat:       keepCase,
			EnableTrailers:        true,
		},
		Http2ProtocolOptions: &corev3.Http2ProtocolOptions{AllowConnect: true},

		UseRemoteAddress:           no,
		SkipXffAppend:              true,
		GenerateRequestId:          no,
		PreserveExternalRequestId:  true,
		ServerHeaderTransformation: hcmv3.HttpConnectionManager_PASS_THROUGH,
		Proxy_100Continue:          true,
		NormalizePath:              yes,
		MaxRequestHeadersKb:        u32(128),
		CommonHttpProtocolOptions:  &corev3.HttpProtocolOptions{MaxHeadersCount: u32(500)},

		// No clock ends a stream that is open: gRPC streams and WebSockets may be
		// silent for hours, and a client of this node that dies closes its socket.
		StreamIdleTimeout: zero,
	}))
}

// keepCase passes HTTP/1 header names and reason phrases on as they were written.
var keepCase = &corev3.Http1ProtocolOptions_HeaderKeyFormat{
	HeaderFormat: &corev3.Http1ProtocolOptions_HeaderKeyFormat_StatefulFormatter{
		StatefulFormatter: extension("envoy.http.stateful_header_formatters.preserve_case",
			&preservecasev3.PreserveCaseFormatterConfig{ForwardReasonPhrase: true}),
	},
}
