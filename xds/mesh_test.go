package xds_test

import (
	"net/netip"

	"sluice.io/sluice/model"
)

// backend names port 80 of a service in namespace shop.
func backend(name string) model.BackendKey {
	return model.BackendKey{Namespace: "shop", Name: name, Port: 80, Protocol: model.TCP}
}

// service adds a service of namespace shop with endpoints to a delta.
func service(d *model.Delta, name string, app model.AppProtocol, eps ...netip.AddrPort) {
	k := backend(name)
	d.Backends[k] = &model.Backend{Key: k, AppProtocol: app, Origin: model.Origin{
		Object: model.ObjectRef{Kind: "Service", Namespace: "shop", Name: name}, Rule: -1,
	}}
	e := &model.Endpoints{Key: k}
	for _, a := range eps {
		e.Endpoints = append(e.Endpoints, model.Endpoint{Addr: a})
	}
	d.Endpoints[k] = e
}

// frontend adds port 80 of a service with rules to a delta; rules without a
// match of their own take all requests, in order.
func frontend(d *model.Delta, name, client string, vips []string, entries ...model.HTTPEntry) *model.Frontend {
	k := model.FrontendKey{Namespace: "shop", Name: name, Port: 80, Protocol: model.TCP, ClientNamespace: client}
	f := &model.Frontend{Key: k, HTTP: &model.HTTPRouting{Entries: entries}, Origin: route(-1)}
	for _, v := range vips {
		f.VIPs = append(f.VIPs, netip.MustParseAddr(v))
	}
	d.Frontends[k] = f
	return f
}

func route(rule int) model.Origin {
	return model.Origin{Object: model.ObjectRef{Kind: "HTTPRoute", Namespace: "shop", Name: "r"}, Rule: rule, File: "r.yaml", Line: 7}
}

// to is an entry that sends what has a path prefix to backends.
func to(prefix string, backends ...model.WeightedBackend) model.HTTPEntry {
	return model.HTTPEntry{
		Match: model.HTTPMatch{Path: &model.StringMatch{Kind: model.MatchPrefix, Value: prefix}},
		Rule:  &model.HTTPRule{Origin: route(0), Backends: backends},
	}
}

func weighted(name string, weight uint32, filters ...model.HTTPFilter) model.WeightedBackend {
	return model.WeightedBackend{Backend: backend(name), Weight: weight, Filters: filters}
}

func at(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }
