package translate

import (
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"sluice.io/sluice/model"
)

// bytes sends a gateway's connections on as they are, shared by weight. The share
// of what is not usable is closed.
func bytes(p *model.GatewayPort, c model.Chain) *listenerv3.Filter {
	t := &tcpproxyv3.TcpProxy{
		StatPrefix:         "gateway",
		IdleTimeout:        zero, // nobody asked for a clock: keepalive finds who is gone
		MaxConnectAttempts: u32(3),
		HashPolicy: []*typev3.HashPolicy{{
			PolicySpecifier: &typev3.HashPolicy_SourceIp_{SourceIp: &typev3.HashPolicy_SourceIp{}},
		}},
	}
	shared := shares(c.L4.Backends)
	switch len(shared) {
	case 0:
		t.ClusterSpecifier = &tcpproxyv3.TcpProxy_Cluster{Cluster: refused}
	case 1:
		t.ClusterSpecifier = &tcpproxyv3.TcpProxy_Cluster{Cluster: bytesTo(p, c, shared[0])}
	default:
		weighted := &tcpproxyv3.TcpProxy_WeightedCluster{}
		for _, w := range shared {
			weighted.Clusters = append(weighted.Clusters, &tcpproxyv3.TcpProxy_WeightedCluster_ClusterWeight{
				Name: bytesTo(p, c, w), Weight: w.Weight,
			})
		}
		t.ClusterSpecifier = &tcpproxyv3.TcpProxy_WeightedClusters{WeightedClusters: weighted}
	}
	return networkFilter("envoy.filters.network.tcp_proxy", typed(t))
}

func bytesTo(p *model.GatewayPort, c model.Chain, w model.WeightedBackend) string {
	if w.Invalid != "" {
		return refused
	}
	return bytesDestination(p, c, w.Backend).Name
}

// bytesDestination is where a chain's connections to a backend go. TLS that is not
// ended here is the client's own, whatever the backend's policy says.
func bytesDestination(p *model.GatewayPort, c model.Chain, k model.BackendKey) Destination {
	out := Outlet{Gateway: true, Certificate: p.ClientCertificate}
	if c.TLS != nil && c.TLS.Passthrough {
		out = Outlet{Gateway: true, Passthrough: true}
	}
	return To(k, AnyFamily).through(out)
}

// PortDestinations are the destinations that the listeners of a gateway's port
// refer to.
func PortDestinations(p *model.GatewayPort) []Destination {
	var out []Destination
	seen := map[string]bool{}
	add := func(d Destination) {
		if !seen[d.Name] {
			seen[d.Name] = true
			out = append(out, d)
		}
	}
	for _, c := range p.Chains {
		if c.L4 == nil {
			continue
		}
		for _, w := range shares(c.L4.Backends) {
			if w.Invalid == "" {
				add(bytesDestination(p, c, w.Backend))
			}
		}
	}
	if p.Datagrams != nil {
		for _, d := range datagramDestinations(p.Datagrams) {
			add(d)
		}
	}
	return out
}
