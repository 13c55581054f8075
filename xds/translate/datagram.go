package translate

import (
	"fmt"
	"strings"

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
				Action: &xdscorev3.TypedExtensionConfig{Name: "route", TypedConfig: typed(&udpproxyv3.Route{Cluster: datagramCluster(p.Datagrams)})},
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

// datagramCluster is the name of the one cluster that a UDP port sends to. Envoy
// knows no weighted clusters for UDP.
func datagramCluster(l4 *model.L4Routing) string {
	if ds := datagramDestinations(l4); len(ds) > 0 {
		return ds[0].Name
	}
	return refused
}

// datagramDestinations are the destinations of a UDP port: none or one, with a
// part for each share. The share of what is not usable is a part that is lost.
func datagramDestinations(l4 *model.L4Routing) []Destination {
	if l4 == nil {
		return nil
	}
	shared := shares(l4.Backends)
	out := Outlet{Gateway: true, Passthrough: true}
	if len(shared) == 1 && shared[0].Invalid == "" {
		return []Destination{To(shared[0].Backend, AnyFamily).through(out)}
	}
	d := Destination{Family: AnyFamily}
	var names []string
	usable := false
	for _, w := range shared {
		p := Part{Backend: w.Backend, Weight: w.Weight, Lost: w.Invalid != ""}
		name := w.Backend.String()
		if p.Lost {
			p.Backend, name = model.BackendKey{}, "lost"
		} else {
			usable = true
		}
		d.Parts = append(d.Parts, p)
		names = append(names, fmt.Sprintf("%s=%d", name, w.Weight))
	}
	if !usable {
		return nil
	}
	d.Name = "datagrams/" + strings.Join(names, ",")
	return []Destination{d.through(out)}
}
