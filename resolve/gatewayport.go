package resolve

import (
	"reflect"
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/hostname"
	"sluice.io/sluice/resolve/index"
)

// updatePorts makes the ports of the marked gateways.
func (u *round) updatePorts() {
	for n := range u.portsTouched {
		keys := index.Set[model.PortKey]{}
		if f := u.frames[n]; f != nil {
			for k, p := range f.ports {
				port := u.makePort(f, p)
				if port == nil {
					continue
				}
				keys.Add(k)
				if was := u.made.Ports[k]; was == nil || !reflect.DeepEqual(was, port) {
					u.delta.Ports[k] = port
				}
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
func (r *Resolver) makePort(f *frame, p *portFrame) *model.GatewayPort {
	addresses, has := r.portAddresses(f, p.key)
	port := &model.GatewayPort{
		Key: p.key, Addresses: addresses, Target: r.target(p.key),
		ClientCertificate: f.identity, Origin: f.origin,
	}
	anywhere := has && len(addresses) == 0 && f.gateway.standalone() && f.reach.known
	if len(addresses) == 0 && port.Target == 0 && !anywhere {
		return nil
	}
	for _, l := range p.listeners {
		if l.protocol == gatewayv1.UDPProtocolType {
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
func (r *Resolver) appendChains(to []model.Chain, p *portFrame, l *listener) []model.Chain {
	c := model.Chain{Name: l.chain(), TLS: l.tls, Origin: l.origin}
	switch l.protocol {
	case gatewayv1.HTTPProtocolType:
		if slices.ContainsFunc(to, func(o model.Chain) bool { return o.Name == c.Name }) {
			return to
		}
		c.HTTP = true
	case gatewayv1.HTTPSProtocolType:
		c.HTTP, c.ServerNames = true, serverNames(l.domain)
	case gatewayv1.TCPProtocolType:
		c.L4 = r.l4On(l, hostname.Any)
	case gatewayv1.TLSProtocolType:
		return r.appendNames(to, p, l)
	}
	return append(to, c)
}

// appendNames adds a chain for each server name that TLSRoutes have on a
// listener, and one that closes connections for what remains of the listener's.
func (r *Resolver) appendNames(to []model.Chain, p *portFrame, l *listener) []model.Chain {
	names := index.Set[string]{}
	for rt := range r.guests[l.listenerKey] {
		for d := range rt.domains[l.listenerKey] {
			names.Add(d)
		}
	}
	for d := range names {
		if p.owner(d) != l {
			continue // a more specific listener has it
		}
		to = append(to, model.Chain{Name: l.chain() + " " + d, ServerNames: serverNames(d), TLS: l.tls, L4: r.l4On(l, d), Origin: l.origin})
	}
	if !names.Has(l.domain) {
		to = append(to, model.Chain{Name: l.chain(), ServerNames: serverNames(l.domain), TLS: &model.TLS{Passthrough: true}, Origin: l.origin})
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
func (r *Resolver) l4On(l *listener, domain string) *model.L4Routing {
	rt := r.first(bucket{l.listenerKey, domain})
	if rt == nil {
		return nil
	}
	return rt.served.L4
}
