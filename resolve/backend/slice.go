package backend

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/source"
)

// Slice is an EndpointSlice as it was given.
type Slice struct {
	Name      object.Name
	Service   object.Name
	Ports     []slicePort
	Endpoints []sliceEndpoint
	Origin    model.Origin
	Problems  []*finding.Finding
}

// slicePort is one port that all endpoints of a slice serve.
type slicePort struct {
	name     string
	protocol model.Protocol
	port     uint16
}

// sliceEndpoint is one address of a slice.
type sliceEndpoint struct {
	addr   netip.Addr
	ready  bool
	usable bool // serving, though not ready (terminating)
	zone   string
	node   string
	target model.ObjectRef
}

// ReadSlice reads an EndpointSlice.
func ReadSlice(es *discoveryv1.EndpointSlice, obj *source.Object) *Slice {
	s := &Slice{
		Name:    object.Name{Namespace: es.Namespace, Name: es.Name},
		Service: object.Name{Namespace: es.Namespace, Name: es.Labels[discoveryv1.LabelServiceName]},
		Origin:  obj.Origin,
	}
	if s.Service.Name == "" {
		s.problem(finding.NoService, "the label %s is missing: it names the Service that these endpoints serve", discoveryv1.LabelServiceName)
		return s
	}
	if es.AddressType == discoveryv1.AddressTypeFQDN {
		s.problem(finding.UnsupportedAddressType, "addressType FQDN is ignored: list IPv4 or IPv6 addresses")
		return s
	}
	for _, p := range es.Ports {
		s.addPort(p)
	}
	for _, e := range es.Endpoints {
		s.addEndpoint(es.AddressType, e)
	}
	return s
}

func (s *Slice) addPort(p discoveryv1.EndpointPort) {
	sp := slicePort{protocol: model.TCP}
	if p.Name != nil {
		sp.name = *p.Name
	}
	if p.Protocol != nil {
		switch *p.Protocol {
		case corev1.ProtocolTCP:
		case corev1.ProtocolUDP:
			sp.protocol = model.UDP
		default:
			return
		}
	}
	if p.Port == nil || *p.Port < 1 || *p.Port > 65535 {
		s.problem(finding.InvalidPort, "port %q has no number between 1 and 65535: it is ignored", sp.name)
		return
	}
	sp.port = uint16(*p.Port)
	s.Ports = append(s.Ports, sp)
}

func (s *Slice) addEndpoint(family discoveryv1.AddressType, e discoveryv1.Endpoint) {
	c := e.Conditions
	ready := c.Ready == nil || *c.Ready
	serving := ready
	if c.Serving != nil {
		serving = *c.Serving
	}
	terminating := c.Terminating != nil && *c.Terminating
	se := sliceEndpoint{ready: ready, usable: serving && terminating}
	if e.Zone != nil {
		se.zone = *e.Zone
	}
	if e.NodeName != nil {
		se.node = *e.NodeName
	}
	if t := e.TargetRef; t != nil {
		se.target = model.ObjectRef{Kind: t.Kind, Namespace: t.Namespace, Name: t.Name}
	}
	for _, text := range e.Addresses {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() {
			s.problem(finding.InvalidAddress, "address %q is not a unicast IP address: it is ignored", text)
			continue
		}
		if a.Is4() != (family == discoveryv1.AddressTypeIPv4) {
			s.problem(finding.InvalidAddress, "address %q is not of the slice's addressType %s: it is ignored", text, family)
			continue
		}
		se.addr = a
		s.Endpoints = append(s.Endpoints, se)
	}
}

func (s *Slice) problem(reason, format string, args ...any) {
	s.Problems = append(s.Problems, finding.New(reason, format, args...))
}

// Unmatched says why none of the slice's ports is one of a service's.
func (s *Slice) Unmatched(ports []Port) *finding.Finding {
	var have, want []string
	for _, sp := range s.Ports {
		if slices.ContainsFunc(ports, sp.serves) {
			return nil
		}
		have = append(have, fmt.Sprintf("%q (%s)", sp.name, sp.protocol))
	}
	for _, p := range ports {
		want = append(want, fmt.Sprintf("%q (%s)", p.Name, p.Protocol))
	}
	return finding.New(finding.NoMatchingPort,
		"the endpoints are not used: by name and protocol, the slice's ports are %s, those of Service %s are %s",
		strings.Join(have, ", "), s.Service, strings.Join(want, ", "))
}

// serves reports whether the slice's port is that of a service.
func (sp slicePort) serves(p Port) bool { return sp.name == p.Name && sp.protocol == p.Protocol }

// candidate is an endpoint together with what decides whether it is used.
type candidate struct {
	model.Endpoint
	ready bool
}

// Merge returns the endpoints of one service port: the ready ones of
// all slices, or when there are none, those that still serve while they
// terminate. An address that several slices list is taken once, from the first
// slice that says it is ready.
func Merge(parts []*Slice, p Port) []model.Endpoint {
	n := 0
	for _, s := range parts {
		n += len(s.Endpoints)
	}
	all := make([]candidate, 0, n)
	ready := false
	for _, s := range parts {
		for _, sp := range s.Ports {
			if !sp.serves(p) {
				continue
			}
			for _, e := range s.Endpoints {
				if !e.ready && !e.usable {
					continue
				}
				ready = ready || e.ready
				all = append(all, candidate{ready: e.ready, Endpoint: model.Endpoint{
					Addr: netip.AddrPortFrom(e.addr, sp.port), Zone: e.zone, Node: e.node, Target: e.target,
				}})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return a.Addr.Compare(b.Addr) })
	out := make([]model.Endpoint, 0, len(all))
	for _, c := range all {
		if c.ready != ready || len(out) > 0 && out[len(out)-1].Addr == c.Addr {
			continue
		}
		out = append(out, c.Endpoint)
	}
	return out
}
