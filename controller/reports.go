package controller

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
)

// takeReport notes what a node's Envoy rejects, nil for nothing.
func (t *term) takeReport(node string, r *v1alpha1.NodeReport) {
	was := t.reports[node]
	keep(t.reports, node, r)
	for _, r := range []*v1alpha1.NodeReport{was, r} {
		if r == nil {
			continue
		}
		for _, a := range r.Rejected {
			t.due[model.GatewayKey{Namespace: a.Gateway.Namespace, Name: a.Gateway.Name}] = true
		}
	}
}

// portAt is the port of a Gateway that is dialled at an address: load balancers dial
// any address of a node, at a port that was allotted.
func (p *ports) portAt(gw model.GatewayKey, r v1alpha1.RejectedPart) model.PortKey {
	k := model.PortKey{Gateway: gw, Port: uint16(r.Port), Protocol: model.Protocol(r.Protocol)}
	if addr, err := netip.ParseAddr(string(r.Address)); err == nil && addr.IsUnspecified() {
		if user, ok := p.user[k.Port]; ok && user.Gateway == gw && user.Protocol == k.Protocol {
			return user
		}
	}
	return k
}

// named is how many nodes, or hosts, a message names.
const named = 3

// part is what Envoys reject: a port's listener, or the routes of a host.
type part struct {
	port model.PortKey
	host string
}

func compareParts(a, b part) int {
	return cmp.Or(cmp.Compare(a.port.String(), b.port.String()), cmp.Compare(a.host, b.host))
}

// refusal is who rejects a part, and what the first of them says.
type refusal struct {
	nodes []string
	why   string
}

func (r *refusal) String() string {
	return fmt.Sprintf("rejected by the Envoys of %s: %s", list(r.nodes), r.why)
}

// list names some of many.
func list(names []string) string {
	text := strings.Join(names[:min(len(names), named)], ", ")
	if more := len(names) - named; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// ofReports notes what the nodes that serve a Gateway reject: a port that none of them
// takes is not served. What is said of another Gateway's, or by a node that does not
// serve, means nothing.
func (l *lack) ofReports(gw model.GatewayKey, p *ports, reports map[string]*v1alpha1.NodeReport, serving []string) {
	refusals := map[part]*refusal{}
	for _, node := range serving { // sorted
		if reports[node] == nil {
			continue
		}
		for _, r := range reports[node].Rejected {
			if r.Gateway == (v1alpha1.GatewayReference{Namespace: gw.Namespace, Name: gw.Name}) {
				refuse(refusals, part{p.portAt(gw, r), r.Host}, node, r.Message)
			}
		}
	}
	hosts := map[model.PortKey]int{}
	for _, at := range slices.SortedFunc(maps.Keys(refusals), compareParts) {
		r := refusals[at]
		switch {
		case at.host != "":
			if hosts[at.port]++; hosts[at.port] <= named {
				l.partial(at.port, fmt.Sprintf("the routes of %q are %s", at.host, r))
			}
		case l.ports[at.port] != "":
		case len(r.nodes) == len(serving):
			l.port(at.port, fmt.Sprintf("rejected by every Envoy, on %s: %s", list(r.nodes), r.why))
		default:
			l.partial(at.port, r.String())
		}
	}
	for k, n := range hosts {
		if n > named {
			l.partial(k, fmt.Sprintf("and those of %d more hosts", n-named))
		}
	}
}

func refuse(all map[part]*refusal, at part, node, why string) {
	r := all[at]
	if r == nil {
		r = &refusal{why: why}
		all[at] = r
	}
	if !slices.Contains(r.nodes, node) {
		r.nodes = append(r.nodes, node)
	}
}

// partial notes that not all of a port is served everywhere.
func (l *lack) partial(k model.PortKey, why string) {
	if l.partly == nil {
		l.partly = map[model.PortKey]string{}
	}
	l.partly[k] = strings.TrimPrefix(l.partly[k]+after(why), "; ")
}
