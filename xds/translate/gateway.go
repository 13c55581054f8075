package translate

import (
	"net/netip"
	"strings"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tlsinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"

	"sluice.io/sluice/model"
	"sluice.io/sluice/xds/bootstrap"
)

// EntryPort is the port on which Envoy listens in the node's own network
// namespace, on 127.0.0.1 and ::1, for what comes to gateways. The kernel sends it
// the connections.
const EntryPort = 15006

// Entries are the listeners that gateways' connections come in by, one for each
// family: a node may be without IPv6. They have an address and nothing else, and
// hand connections on to the listener of the address that the client dialled.
func Entries() []*listenerv3.Listener {
	return []*listenerv3.Listener{
		entry(IPv4, netip.AddrFrom4([4]byte{127, 0, 0, 1})),
		entry(IPv6, netip.IPv6Loopback()),
	}
}

func entry(f Family, addr netip.Addr) *listenerv3.Listener {
	return &listenerv3.Listener{
		Name:               "gateways/" + string(f),
		StatPrefix:         "gateways",
		Address:            inNetns(addr, EntryPort, bootstrap.NodeNetns),
		UseOriginalDst:     yes,
		ListenerFilters:    []*listenerv3.ListenerFilter{originalDst},
		DefaultFilterChain: &listenerv3.FilterChain{Filters: []*listenerv3.Filter{refuse}},
	}
}

// Door is one address that a gateway's clients dial.
type Door struct {
	Addr     netip.AddrPort
	Protocol model.Protocol
}

// Name is the name of the listener for the address. It is the address alone, as
// with [VIPName]: an address that another gateway takes over is a change of
// the one listener.
func (d Door) Name() string { return "gateway/" + d.Addr.String() + "/" + string(d.Protocol) }

// ParseDoor reads what [Door.Name] makes, and nothing else.
func ParseDoor(name string) (Door, bool) {
	rest, ok := strings.CutPrefix(name, "gateway/")
	addr, protocol, ok2 := strings.Cut(rest, "/")
	at, err := netip.ParseAddrPort(addr)
	d := Door{at, model.Protocol(protocol)}
	return d, ok && ok2 && err == nil && d.Name() == name
}

// Doors are the addresses at which a gateway's port is dialled: its own, and
// any address of the node at the port that a load balancer dials, or at the
// gateway's own when it has no address at all.
func Doors(p *model.GatewayPort) []Door {
	var out []Door
	add := func(a netip.Addr, port uint16) {
		out = append(out, Door{netip.AddrPortFrom(a.Unmap(), port), p.Key.Protocol})
	}
	for _, a := range p.Addresses {
		add(a, p.Key.Port)
	}
	anywhere := p.Target
	if anywhere == 0 && len(p.Addresses) == 0 {
		anywhere = p.Key.Port
	}
	if anywhere != 0 {
		add(netip.IPv4Unspecified(), anywhere)
		add(netip.IPv6Unspecified(), anywhere)
	}
	return out
}

// Gateway is the listener for one of a gateway port's addresses. For TCP it binds
// nothing: connections reach it by hand-off from [Entries]. Each chain has a
// filter chain of its own, so a changed chain touches no other's connections.
func Gateway(d Door, p *model.GatewayPort) *listenerv3.Listener {
	l := &listenerv3.Listener{
		Name:       d.Name(),
		StatPrefix: "gateway",
		Address:    address(socket(d.Addr)),
	}
	if d.Protocol == model.UDP {
		l.Address = inNetns(d.Addr.Addr(), d.Addr.Port(), bootstrap.NodeNetns)
		datagrams(l, p)
		return l
	}
	l.BindToPort = no
	for _, c := range p.Chains {
		l.FilterChains = append(l.FilterChains, chain(p, c))
		if c.TLS != nil && l.ListenerFilters == nil {
			l.ListenerFilters = []*listenerv3.ListenerFilter{tlsInspector}
		}
	}
	if len(l.FilterChains) == 0 {
		l.DefaultFilterChain = &listenerv3.FilterChain{Filters: []*listenerv3.Filter{refuse}}
	}
	return l
}

var tlsInspector = &listenerv3.ListenerFilter{
	Name:       "envoy.filters.listener.tls_inspector",
	ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: typed(&tlsinspectorv3.TlsInspector{})},
}
