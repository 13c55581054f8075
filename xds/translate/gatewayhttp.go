package translate

import (
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"sluice.io/sluice/model"
)

// gatewayHTTP routes what a gateway's clients ask for by the chain's hosts.
func gatewayHTTP(p *model.GatewayPort, c model.Chain) *listenerv3.Filter {
	h := edgeManager()
	h.HttpProtocolOptions.DefaultHostForHttp_10 = p.Key.Gateway.Name + "." + p.Key.Gateway.Namespace
	byScope(h, ChainKey{p.Key, c.Name})
	return networkFilter("envoy.filters.network.http_connection_manager", typed(h))
}

// edgeManager is the [connectionManager] of clients from outside, who asked for a
// proxy, and whom nobody knows.
func edgeManager() *hcmv3.HttpConnectionManager {
	h := connectionManager()
	h.StatPrefix = "gateway"
	h.UseRemoteAddress = yes // the client's address is the connection's, and is added to X-Forwarded-For
	h.SkipXffAppend = false
	h.InternalAddressConfig = &hcmv3.HttpConnectionManager_InternalAddressConfig{} // nobody may steer Envoy by headers

	// One path has one spelling, so that no rule is passed by: see docs/decisions.
	h.NormalizePath = yes
	h.MergeSlashes = true
	h.PathWithEscapedSlashesAction = hcmv3.HttpConnectionManager_UNESCAPE_AND_REDIRECT
	h.StripTrailingHostDot = true

	h.RequestHeadersTimeout = durationpb.New(time.Minute)
	h.Http2ProtocolOptions = &corev3.Http2ProtocolOptions{
		AllowConnect:                true,
		MaxConcurrentStreams:        u32(100),
		InitialStreamWindowSize:     u32(1 << 20),
		InitialConnectionWindowSize: u32(4 << 20),
	}
	return h
}
