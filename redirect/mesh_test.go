package redirect

import (
	"net/netip"

	"sluice.io/sluice/model"
)

// meshBuilder writes a mesh down shortly.
type meshBuilder struct{ m *model.Mesh }

func newMesh() meshBuilder { return meshBuilder{model.NewMesh()} }

func backendKey(name string, port uint16, proto model.Protocol) model.BackendKey {
	return model.BackendKey{Namespace: "shop", Name: name, Port: port, Protocol: proto}
}

// backend adds endpoints of a service port.
func (b meshBuilder) backend(name string, port uint16, proto model.Protocol, endpoints ...string) meshBuilder {
	e := &model.Endpoints{Key: backendKey(name, port, proto)}
	for _, a := range endpoints {
		e.Endpoints = append(e.Endpoints, model.Endpoint{Addr: netip.MustParseAddrPort(a)})
	}
	b.m.Endpoints[e.Key] = e
	return b
}

// share is one part of a weighted frontend.
type share struct {
	backend string
	weight  uint32
	invalid string
}

// front adds a frontend with the given shares, or its own backend.
func (b meshBuilder) front(name string, port uint16, proto model.Protocol, vips []netip.Addr, shares ...share) *model.Frontend {
	f := &model.Frontend{
		Key:  model.FrontendKey{Namespace: "shop", Name: name, Port: port, Protocol: proto},
		VIPs: vips,
		L4:   &model.L4Routing{},
	}
	if len(shares) == 0 {
		shares = []share{{backend: name, weight: 1}}
	}
	for _, s := range shares {
		f.L4.Backends = append(f.L4.Backends, model.WeightedBackend{
			Backend: backendKey(s.backend, port, proto), Weight: s.weight, Invalid: s.invalid,
		})
	}
	b.m.Frontends[f.Key] = f
	return f
}

// l7 adds a frontend that Envoy takes.
func (b meshBuilder) l7(name string, port uint16, vips ...string) *model.Frontend {
	f := &model.Frontend{
		Key:  model.FrontendKey{Namespace: "shop", Name: name, Port: port, Protocol: model.TCP},
		VIPs: addrs(vips...), HTTP: &model.HTTPRouting{},
	}
	b.m.Frontends[f.Key] = f
	return f
}

// gateway adds a port of a gateway.
func (b meshBuilder) gateway(name string, port, target uint16, at ...string) meshBuilder {
	g := &model.GatewayPort{
		Key:       model.PortKey{Gateway: model.GatewayKey{Namespace: "shop", Name: name}, Port: port, Protocol: model.TCP},
		Addresses: addrs(at...), Target: target,
	}
	b.m.Ports[g.Key] = g
	return b
}

func (b meshBuilder) workload(w *model.Workload) meshBuilder {
	b.m.Workloads[w.Key] = w
	return b
}
