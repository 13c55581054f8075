package resolve

import (
	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/backend"
	"sluice.io/sluice/resolve/gateway"
	"sluice.io/sluice/resolve/object"
)

// wanted returns the port of the nodes that the oldest of a gateway's Services has
// for one of its ports; zero when there is none.
func (r *Resolver) wanted(k model.PortKey) uint16 {
	var first *service
	for n := range r.balancers[gatewayName(k)] {
		if s := r.services[n]; first == nil || s.Compare(first.Seniority) < 0 {
			first = s
		}
	}
	if first == nil {
		return 0
	}
	return first.Targets[backend.PortKey{Port: k.Port, Protocol: k.Protocol}]
}

// target returns the port at which a load balancer dials the nodes for a
// gateway's port; zero when there is none, or when it is another's.
func (r *Resolver) target(k model.PortKey) uint16 {
	t := r.wanted(k)
	if t == 0 || r.portClaims.Holder(gateway.Claim{Port: t, Protocol: k.Protocol}) != gatewayName(k) || r.doubled(k, t) {
		return 0
	}
	return t
}

// doubled tells that an earlier port of the same gateway has a port of the nodes.
func (r *Resolver) doubled(k model.PortKey, target uint16) bool {
	f := r.frames[gatewayName(k)]
	for o := range f.Ports {
		if o == k || o.Protocol != k.Protocol {
			continue
		}
		if o.Port == target && f.Anywhere() || r.wanted(o) == target && model.ComparePorts(o, k) < 0 {
			return true
		}
	}
	return false
}

func gatewayName(k model.PortKey) object.Name {
	return object.Name{Namespace: k.Gateway.Namespace, Name: k.Gateway.Name}
}
