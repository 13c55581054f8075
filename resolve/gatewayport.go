package resolve

import (
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/gateway"
	"sluice.io/sluice/resolve/hostname"
	"sluice.io/sluice/resolve/index"
)

// updatePorts makes the ports of the marked gateways.
func (u *round) updatePorts() {
	for n := range u.portsTouched {
		keys := index.Set[model.PortKey]{}
		if f := u.frames[n]; f != nil {
			for k, p := range f.Ports {
				port := u.makePort(f, p)
				if port == nil {
					continue
				}
				keys.Add(k)
				emit(u.delta.Ports, u.made.Ports, k, port)
			}
		}
		for k := range u.portsOf[n] {
			if !keys.Has(k) {
				u.delta.Ports[k] = nil
			}
		}
		if len(keys) > 0 {
			u.portsOf[n] = keys
		} else {
			delete(u.portsOf, n)
		}
	}
}

// makePort makes one port; nil where nobody can dial it, or nothing is served.
func (r *Resolver) makePort(f *gateway.Frame, p *gateway.Port) *model.GatewayPort {
	addresses, has := r.portAddresses(f, p.Key)
	port := &model.GatewayPort{
		Key: p.Key, Addresses: addresses, Target: r.target(p.Key),
		ClientCertificate: f.Identity, Origin: f.Origin,
	}
	anywhere := has && len(addresses) == 0 && f.Gateway.Standalone() && f.Reach.Known
	if len(addresses) == 0 && port.Target == 0 && !anywhere {
		return nil
	}
	for _, l := range p.Listeners {
		if l.Protocol == gatewayv1.UDPProtocolType {
			port.Datagrams = r.l4On(l, hostname.Any)
			if port.Datagrams == nil {
				return nil
			}
			return port
		}
		port.Chains = r.appendChains(port.Chains, p, l)
	}
	slices.SortFunc(port.Chains, func(a, b model.Chain) int { return strings.Compare(a.Name, b.Name) })
	return port
}

// appendChains adds the chains of a listener. HTTP listeners share one.
func (r *Resolver) appendChains(to []model.Chain, p *gateway.Port, l *gateway.Listener) []model.Chain {
	c := model.Chain{Name: l.Chain(), TLS: l.TLS, Origin: l.Origin}
	switch l.Protocol {
	case gatewayv1.HTTPProtocolType:
		if slices.ContainsFunc(to, func(o model.Chain) bool { return o.Name == c.Name }) {
			return to
		}
		c.HTTP = true
	case gatewayv1.HTTPSProtocolType:
		c.HTTP, c.ServerNames = true, serverNames(l.Domain)
	case gatewayv1.TCPProtocolType:
		c.L4 = r.l4On(l, hostname.Any)
	case gatewayv1.TLSProtocolType:
		return r.appendNames(to, p, l)
	}
	return append(to, c)
}

// appendNames adds a chain for each server name that TLSRoutes have on a
// listener, and one that closes connections for what remains of the listener's.
func (r *Resolver) appendNames(to []model.Chain, p *gateway.Port, l *gateway.Listener) []model.Chain {
	names := index.Set[string]{}
	for rt := range r.guests[l.ListenerKey] {
		for d := range rt.domains[l.ListenerKey] {
			names.Add(d)
		}
	}
	for d := range names {
		if p.Owner(d) != l {
			continue // a more specific listener has it
		}
		to = append(to, model.Chain{Name: l.Chain() + " " + d, ServerNames: serverNames(d), TLS: l.TLS, L4: r.l4On(l, d), Origin: l.Origin})
	}
	if !names.Has(l.Domain) {
		to = append(to, model.Chain{Name: l.Chain(), ServerNames: serverNames(l.Domain), TLS: &model.TLS{Passthrough: true}, Origin: l.Origin})
	}
	return to
}

func serverNames(domain string) []string {
	if domain == hostname.Any {
		return nil
	}
	return []string{domain}
}

// l4On returns where a listener's connections for a domain go; nil without a route.
func (r *Resolver) l4On(l *gateway.Listener, domain string) *model.L4Routing {
	rt := r.first(bucket{l.ListenerKey, domain})
	if rt == nil {
		return nil
	}
	return rt.served.L4
}
