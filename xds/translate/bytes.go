package translate

import (
	"cmp"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"sluice.io/sluice/model"
)

// bytes sends a gateway's connections on as they are. Who gets them is up to the
// chain's own cluster: so that other backends or weights are no change of the
// chain, which would close the connections that it has.
func bytes(p *model.GatewayPort, c model.Chain) *listenerv3.Filter {
	return networkFilter("envoy.filters.network.tcp_proxy", typed(&tcpproxyv3.TcpProxy{
		StatPrefix:       "gateway",
		ClusterSpecifier: &tcpproxyv3.TcpProxy_Cluster{Cluster: layer4Name(p.Key, c.Name)},
		IdleTimeout:      zero, // nobody asked for a clock: keepalive finds who is gone
		HashPolicy: []*typev3.HashPolicy{{
			PolicySpecifier: &typev3.HashPolicy_SourceIp_{SourceIp: &typev3.HashPolicy_SourceIp{}},
		}},
	}))
}

func layer4Name(k model.PortKey, chain string) string { return "gateway/" + k.String() + "/" + chain }

// layer4 is where the connections of a chain go, or the datagrams of a port: one
// destination, with a part for each share. What is not usable keeps its share, of
// nothing.
func layer4(name string, l4 *model.L4Routing, out Outlet) Destination {
	d := Destination{Name: name, Family: AnyFamily, Outlet: out, Strict: true}
	for _, w := range shares(l4.Backends) {
		if w.Invalid != "" {
			w.Backend = model.BackendKey{} // which has no endpoints
		}
		d.Parts = append(d.Parts, Part{Backend: w.Backend, Weight: w.Weight})
	}
	return d
}

// PortDestinations are the destinations that the listeners of a gateway's port
// refer to. Their names are the port's and its chains': it is in their parts that
// they change.
func PortDestinations(p *model.GatewayPort) []Destination {
	var out []Destination
	for _, c := range p.Chains {
		if c.L4 == nil {
			continue
		}
		through := Outlet{Gateway: true, Certificate: p.ClientCertificate}
		if c.TLS != nil && c.TLS.Passthrough { // the client's own, whatever the backend's policy says
			through = Outlet{Gateway: true, Passthrough: true}
		}
		out = append(out, layer4(layer4Name(p.Key, c.Name), c.L4, through))
	}
	if p.Key.Protocol == model.UDP {
		routing := cmp.Or(p.Datagrams, &model.L4Routing{})
		out = append(out, layer4(layer4Name(p.Key, ""), routing, Outlet{Gateway: true, Passthrough: true}))
	}
	return out
}
