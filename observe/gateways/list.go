package gateways

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"sluice.io/sluice/model"
)

// List returns all Gateways of ours, by namespace and name.
func List(m *model.Mesh, statuses map[model.ObjectRef]*model.Status) []*Gateway {
	all := map[model.GatewayKey]*Gateway{}
	at := func(k model.GatewayKey) *Gateway {
		if all[k] == nil {
			all[k] = &Gateway{Key: k, Listeners: []Listener{}}
		}
		return all[k]
	}
	owner := map[model.ObjectRef]model.GatewayKey{}
	sorted := slices.SortedFunc(maps.Values(statuses), func(a, b *model.Status) int { return model.CompareRefs(a.Origin.Object, b.Origin.Object) })
	for _, st := range sorted {
		ref := st.Origin.Object
		switch ref.Kind {
		case "Gateway":
			k := model.GatewayKey{Namespace: ref.Namespace, Name: ref.Name}
			g := at(k)
			g.Origin, g.Addresses, g.Conditions = st.Origin, st.Addresses, st.Conditions
			owner[ref] = k
		case "ListenerSet":
			owner[ref] = st.Gateway
		default:
			continue
		}
		g := at(owner[ref])
		for i := range st.Listeners {
			g.Listeners = append(g.Listeners, listenerOf(ref, &st.Listeners[i]))
		}
	}
	for _, p := range slices.SortedFunc(maps.Values(m.Ports), func(a, b *model.GatewayPort) int { return model.ComparePorts(a.Key, b.Key) }) {
		at(p.Key.Gateway).addPort(p)
	}
	for _, k := range slices.SortedFunc(maps.Keys(m.Hosts), func(a, b model.HostKey) int { return strings.Compare(a.Domain, b.Domain) }) {
		if h := m.Hosts[k]; h.HTTP != nil {
			at(k.Port.Gateway).addHost(k)
		}
	}
	for _, st := range sorted {
		if !strings.HasSuffix(st.Origin.Object.Kind, "Route") {
			continue // policies have parents, too
		}
		for i := range st.Parents {
			if k, ours := owner[st.Parents[i].Parent]; ours {
				all[k].addRefusals(st, &st.Parents[i])
			}
		}
	}
	return slices.SortedFunc(maps.Values(all), func(a, b *Gateway) int {
		return cmp.Or(cmp.Compare(a.Key.Namespace, b.Key.Namespace), cmp.Compare(a.Key.Name, b.Key.Name))
	})
}

func listenerOf(of model.ObjectRef, l *model.ListenerStatus) Listener {
	return Listener{
		Name: l.Name, Of: of, Port: l.Port, Protocol: l.Protocol, Hostname: l.Hostname, Chain: l.Chain,
		Kinds: l.Kinds, AttachedRoutes: l.AttachedRoutes, Conditions: l.Conditions, Origin: l.Origin,
	}
}

func (g *Gateway) addPort(p *model.GatewayPort) {
	port := Port{Port: p.Key.Port, Protocol: p.Key.Protocol, Addresses: p.Addresses, Target: p.Target}
	for _, c := range p.Chains {
		port.Chains = append(port.Chains, c.Name)
		if c.L4 == nil {
			continue
		}
		if l := g.Listener(p.Key, c.Name, ""); l != nil {
			l.Hosts = append(l.Hosts, c.ServerNames...)
		}
	}
	g.Ports = append(g.Ports, port)
}

func (g *Gateway) addHost(k model.HostKey) {
	if l := g.Listener(k.Port, k.Chain, k.Domain); l != nil {
		l.Hosts = append(l.Hosts, k.Domain)
	}
}

// addRefusals notes what a route's conditions say against a parent.
func (g *Gateway) addRefusals(st *model.Status, p *model.ParentStatus) {
	for _, c := range p.Conditions {
		if c.Type == "Accepted" && !c.Status || c.Type == "Conflicted" && c.Status {
			g.Refused = append(g.Refused, Refusal{Route: st.Origin, Parent: p.Parent, Section: p.Section, Port: p.Port, Condition: c})
			return
		}
	}
}

// Listener returns the listener to which a domain on a chain of a port belongs;
// without a domain, the first listener of the chain. HTTP listeners share a chain:
// a domain belongs to the one with the most specific host name.
func (g *Gateway) Listener(k model.PortKey, chain, domain string) *Listener {
	chain, _, _ = strings.Cut(chain, " ")
	var best *Listener
	for i := range g.Listeners {
		l := &g.Listeners[i]
		if l.Port != k.Port || l.Transport() != k.Protocol || l.Chain != chain || domain != "" && !(Covers(l.Hostname, domain) && l.sound()) {
			continue
		}
		if best == nil || domain != "" && len(l.Hostname) > len(best.Hostname) {
			best = l
		}
	}
	return best
}

// At returns the first listener of a port; nil when there is none.
func (g *Gateway) At(port uint16, protocol model.Protocol) *Listener {
	for i := range g.Listeners {
		if l := &g.Listeners[i]; l.Port == port && l.Transport() == protocol {
			return l
		}
	}
	return nil
}

// AddressesOf are those at which a port is dialled; those of the Gateway for a
// port that is not served.
func (g *Gateway) AddressesOf(port uint16, protocol model.Protocol) []netip.Addr {
	for _, p := range g.Ports {
		if p.Port == port && p.Protocol == protocol {
			return p.Addresses
		}
	}
	return g.Addresses
}

// Concerns tells whether a route that is refused asked for a listener.
func (r *Refusal) Concerns(l *Listener) bool {
	return r.Parent == l.Of && (r.Section == "" || r.Section == l.Name) && (r.Port == 0 || r.Port == l.Port) && slices.Contains(routesOf[l.Protocol], r.Route.Object.Kind)
}

// routesOf are the kinds of routes that go with each protocol.
var routesOf = map[string][]string{
	"HTTP": {"HTTPRoute", "GRPCRoute"}, "HTTPS": {"HTTPRoute", "GRPCRoute"}, "TLS": {"TLSRoute"}, "TCP": {"TCPRoute"}, "UDP": {"UDPRoute"},
}

// Serves tells whether routes are attached for a host name on a port.
func (g *Gateway) Serves(port uint16, host string) bool {
	return slices.ContainsFunc(g.Listeners, func(l Listener) bool {
		return l.Port == port && slices.ContainsFunc(l.Hosts, func(d string) bool { return Covers(d, host) })
	})
}

// sound tells that the listener has something to serve with: others do not keep
// host names from wider ones.
func (l *Listener) sound() bool {
	accepted, programmed := l.Condition("Accepted"), l.Condition("Programmed")
	return (accepted == nil || accepted.Status) && (programmed == nil || programmed.Status || programmed.Reason != "Invalid")
}

// Covers reports whether every name of one domain belongs to another.
func Covers(wide, narrow string) bool {
	return wide == "*" || wide == narrow || strings.HasPrefix(wide, "*.") && strings.HasSuffix(strings.TrimPrefix(narrow, "*"), wide[1:])
}

// Wider lists a host name and the domains that cover it, the most specific first.
func Wider(host string) []string {
	all := []string{host}
	for rest := host; ; {
		_, parent, more := strings.Cut(strings.TrimPrefix(rest, "*."), ".")
		if !more {
			return append(all, "*")
		}
		rest = parent
		all = append(all, "*."+parent)
	}
}
