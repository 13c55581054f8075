package translate

import (
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	upstreamhttpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"sluice.io/sluice/model"
)

const httpOptionsName = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

// protocolOptions tell how Envoy speaks to endpoints of an application protocol.
func protocolOptions(app model.AppProtocol) *anypb.Any {
	switch app {
	case model.AppH2C, model.AppGRPC:
		return upstreamHTTP2
	case model.AppWS:
		return upstreamHTTP1
	default:
		return upstreamAsClient
	}
}

// gatewayProtocol tells how gateways speak to endpoints, in TLS or not. What a
// gateway's client speaks says nothing of the endpoint: a browser's HTTP/2 ends at
// the gateway. Where no protocol is declared it is HTTP/1.1, which all speak, and
// which WebSocket needs.
func gatewayProtocol(o Outlet, app model.AppProtocol) *anypb.Any {
	if o.HTTP2 || app == model.AppH2C || app == model.AppGRPC {
		return upstreamHTTP2
	}
	return upstreamHTTP1
}

var (
	// upstreamAsClient speaks to the endpoint what the client spoke to Envoy.
	upstreamAsClient = typed(&upstreamhttpv3.HttpProtocolOptions{
		CommonHttpProtocolOptions: upstreamCommon,
		UpstreamProtocolOptions: &upstreamhttpv3.HttpProtocolOptions_UseDownstreamProtocolConfig{
			UseDownstreamProtocolConfig: &upstreamhttpv3.HttpProtocolOptions_UseDownstreamHttpConfig{
				HttpProtocolOptions:  http1ToEndpoint,
				Http2ProtocolOptions: http2ToEndpoint,
			},
		},
	})
	upstreamHTTP1 = typed(&upstreamhttpv3.HttpProtocolOptions{
		CommonHttpProtocolOptions: upstreamCommon,
		UpstreamProtocolOptions: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{
					HttpProtocolOptions: http1ToEndpoint,
				},
			},
		},
	})
	upstreamHTTP2 = typed(&upstreamhttpv3.HttpProtocolOptions{
		CommonHttpProtocolOptions: upstreamCommon,
		UpstreamProtocolOptions: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
					Http2ProtocolOptions: http2ToEndpoint,
				},
			},
		},
	})

	// upstreamCommon closes connections that nobody used for a minute: they are
	// sockets in a workload's network namespace, and hold it.
	upstreamCommon  = &corev3.HttpProtocolOptions{IdleTimeout: durationpb.New(time.Minute), MaxHeadersCount: u32(500)}
	http1ToEndpoint = &corev3.Http1ProtocolOptions{HeaderKeyFormat: keepCase, EnableTrailers: true}
	http2ToEndpoint = &corev3.Http2ProtocolOptions{AllowConnect: true}
)
