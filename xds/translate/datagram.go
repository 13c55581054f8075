package translate

import (
	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	udpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/udp/udp_proxy/v3"

	"sluice.io/sluice/model"
)

// datagrams makes the listener one of UDP. It binds the address itself, which the
// node need not have (yet): there is no hand-off without connections. Replies
// leave from the address that the client dialled.
func datagrams(l *listenerv3.Listener, p *model.GatewayPort) {
	l.GetAddress().GetSocketAddress().Protocol = corev3.SocketAddress_UDP
	l.Freebind = yes
	l.UdpListenerConfig = &listenerv3.UdpListenerConfig{}
	proxy := &udpproxyv3.UdpProxyConfig{
		StatPrefix: "gateway",
		RouteSpecifier: &udpproxyv3.UdpProxyConfig_Matcher{Matcher: &matcherv3.Matcher{
			OnNoMatch: &matcherv3.Matcher_OnMatch{OnMatch: &matcherv3.Matcher_OnMatch_Action{
				Action: &xdscorev3.TypedExtensionConfig{Name: "route", TypedConfig: typed(&udpproxyv3.Route{Cluster: layer4Name(p.Key, "")})},
			}},
		}},
		HashPolicies: []*udpproxyv3.UdpProxyConfig_HashPolicy{{
			PolicySpecifier: &udpproxyv3.UdpProxyConfig_HashPolicy_SourceIp{SourceIp: true},
		}},
	}
	l.ListenerFilters = []*listenerv3.ListenerFilter{{
		Name:       "envoy.filters.udp_listener.udp_proxy",
		ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: typed(proxy)},
	}}
}
