package translate

import (
	"net/netip"
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"sluice.io/sluice/model"
)

// Assignment is where the endpoints of a destination are. A destination that
// nothing is known of, or nothing of its family, has none, which Envoy answers
// with 503. Of a shared
// destination each part is a locality, weighted; a part without endpoints
// leaves its share to the others, unless the destination is strict.
func Assignment(d Destination, endpoints map[model.BackendKey]*model.Endpoints) *endpointv3.ClusterLoadAssignment {
	a := &endpointv3.ClusterLoadAssignment{ClusterName: d.Name}
	for i, p := range d.Parts {
		eps := lbEndpoints(endpoints[p.Backend], d.Family)
		if len(eps) == 0 && d.Strict && len(d.Parts) > 1 {
			eps = []*endpointv3.LbEndpoint{nowhere()}
		}
		if len(eps) == 0 {
			continue
		}
		l := &endpointv3.LocalityLbEndpoints{LbEndpoints: eps}
		if len(d.Parts) > 1 {
			l.Locality = &corev3.Locality{Zone: strconv.Itoa(i)}
			if p.Weight > 0 { // without one it gets no new sessions
				l.LoadBalancingWeight = u32(p.Weight)
			}
			if d.Outlet.Gateway {
				mark(eps, i)
			}
		}
		a.Endpoints = append(a.Endpoints, l)
	}
	return a
}

// lbEndpoints are the endpoints of a family; nil has none.
func lbEndpoints(eps *model.Endpoints, f Family) []*endpointv3.LbEndpoint {
	if eps == nil {
		return nil
	}
	var out []*endpointv3.LbEndpoint
	f = f.prefer(eps.Endpoints)
	for _, e := range eps.Endpoints {
		if FamilyOf(e.Addr.Addr()) == f {
			out = append(out, endpoint(e.Addr))
		}
	}
	return out
}

// nowhere is an address that the kernel makes no connections to, nor sends
// datagrams to for who has not asked for leave to broadcast.
func nowhere() *endpointv3.LbEndpoint { return endpoint(netip.MustParseAddrPort("255.255.255.255:9")) }

func endpoint(a netip.AddrPort) *endpointv3.LbEndpoint {
	return &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
		Endpoint: &endpointv3.Endpoint{Address: address(socket(a))},
	}}
}

// mark tells which part of a destination endpoints are of.
func mark(eps []*endpointv3.LbEndpoint, i int) {
	m := &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{"envoy.transport_socket_match": part(i)}}
	for _, e := range eps {
		e.Metadata = m
	}
}
