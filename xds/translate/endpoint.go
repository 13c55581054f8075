package translate

import (
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"

	"sluice.io/sluice/model"
)

// Assignment is where the endpoints of a destination are. A destination that
// nothing is known of has none, which Envoy answers with 503. Of a shared
// destination each part is a locality, weighted; a part without endpoints
// leaves its share to the others.
func Assignment(d Destination, endpoints map[model.BackendKey]*model.Endpoints) *endpointv3.ClusterLoadAssignment {
	a := &endpointv3.ClusterLoadAssignment{ClusterName: d.Name}
	for i, p := range d.Parts {
		eps := endpoints[p.Backend]
		if eps == nil || len(eps.Endpoints) == 0 {
			continue
		}
		l := &endpointv3.LocalityLbEndpoints{LbEndpoints: lbEndpoints(eps.Endpoints)}
		if len(d.Parts) > 1 {
			l.Locality = &corev3.Locality{Zone: strconv.Itoa(i)}
			if p.Weight > 0 { // without one it gets no new sessions
				l.LoadBalancingWeight = u32(p.Weight)
			}
		}
		a.Endpoints = append(a.Endpoints, l)
	}
	return a
}

func lbEndpoints(eps []model.Endpoint) []*endpointv3.LbEndpoint {
	out := make([]*endpointv3.LbEndpoint, len(eps))
	for i, e := range eps {
		out[i] = &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
			Endpoint: &endpointv3.Endpoint{Address: address(socket(e.Addr))},
		}}
	}
	return out
}
