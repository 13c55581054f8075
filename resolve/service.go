package resolve

import (
	"maps"
	"net/netip"
	"slices"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/backend"
	"sluice.io/sluice/resolve/index"
	"sluice.io/sluice/resolve/object"
)

// service is a Service, and what other objects make of it.
type service struct {
	*backend.Service
	vips      []netip.Addr               // of its cluster addresses, those that it holds
	encrypted index.Set[backend.PortKey] // the ports to which gateways speak TLS
}

// settleVIPs marks all services that claim a cluster address whose claimants
// changed, since what each of them is told depends on the others.
func (u *round) settleVIPs() {
	for a := range u.vips.Changed() {
		for _, c := range u.vips.Claimants(a) {
			u.touch(c.Name)
			u.report.Add(c.Name.Ref(object.KindService))
		}
	}
}

// updateServices emits the backends of the touched services and marks what
// depends on those that really changed.
func (u *round) updateServices() {
	for n, before := range u.touched {
		s := u.services[n]
		if s != nil {
			s.vips = u.held(s)
			s.encrypted = u.encrypted(s)
		}
		u.emitBackends(n, before, s)
		if !sameBackends(before, s) {
			u.endpoints.Add(n)
			for rt := range u.usersOf[n] {
				u.compile.Add(rt)
			}
			for es := range u.slicesOf[n] {
				u.report.Add(es.Ref(object.KindEndpointSlice))
			}
		}
		attach := !sameBackends(before, s) || !sameParent(before, s)
		u.groups.Add(group{service: n})
		for scope := range u.scopesOf[n] {
			g := group{n, scope}
			u.groups.Add(g)
			if attach {
				for rt := range u.boundTo[g] {
					u.attach.Add(rt)
				}
			}
		}
	}
}

func (u *round) held(s *service) []netip.Addr {
	var held []netip.Addr
	for _, a := range s.Addresses {
		if u.vips.Holder(a) == s.Name {
			held = append(held, a)
		}
	}
	return held
}

// encrypted returns the ports of a service to which gateways speak TLS.
func (r *Resolver) encrypted(s *service) index.Set[backend.PortKey] {
	var keys index.Set[backend.PortKey]
	for _, p := range s.Ports {
		if r.encryption(s.Name, p) == nil {
			continue
		}
		if keys == nil {
			keys = index.Set[backend.PortKey]{}
		}
		keys.Add(p.PortKey)
	}
	return keys
}

func (u *round) emitBackends(n object.Name, before, s *service) {
	if s != nil {
		for _, p := range s.Ports {
			k := p.Backend(n)
			emit(u.delta.Backends, u.made.Backends, k, &model.Backend{
				Key: k, AppProtocol: p.App, Affinity: s.Affinity, TLS: u.encryption(n, p), Origin: s.Origin,
			})
		}
	}
	if before != nil {
		for _, p := range before.Ports {
			if s == nil || s.Port(p.PortKey) == nil {
				u.delta.Backends[p.Backend(n)] = nil
				u.delta.Endpoints[p.Backend(n)] = nil
			}
		}
	}
}

// sameBackends reports whether two states of a service look the same to those
// who send to it.
func sameBackends(a, b *service) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Kind == b.Kind && slices.Equal(a.Ports, b.Ports) && maps.Equal(a.encrypted, b.encrypted)
}

// sameParent reports whether routes attach to two states of a service alike,
// given that [sameBackends] holds.
func sameParent(a, b *service) bool {
	if a == nil || b == nil {
		return a == b
	}
	return (len(a.vips) == 0) == (len(b.vips) == 0)
}
