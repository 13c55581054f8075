package main

import (
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"sluice.io/sluice/agent"
	"sluice.io/sluice/model"
	"sluice.io/sluice/observe/gateways"
)

// printGatewayList writes a line for each listener.
func printGatewayList(w io.Writer, doc *agent.Document) {
	c := newColumns(w, "GATEWAY", "LISTENER", "PORT", "PROTOCOL", "HOSTNAME", "ADDRESSES", "ROUTES", "HOSTS", "PROGRAMMED", "WHY", "WHERE")
	for _, g := range doc.Gateways {
		if len(g.Listeners) == 0 {
			programmed, why := programmed(g.Conditions)
			c.row(g.Key.String(), "", "", "", "", addressesText(g, nil), "", "", programmed, why, g.Origin.Position())
		}
		for i := range g.Listeners {
			l := &g.Listeners[i]
			programmed, why := programmed(l.Conditions)
			if programmed == "yes" {
				if top := g.Condition("Programmed"); top != nil && !top.Status {
					why = top.Reason + ": " + top.Message // served, and yet not as was asked
				}
			}
			c.row(g.Key.String(), listenerName(g, l), strconv.Itoa(int(l.Port)), l.Protocol, l.Hostname, addressesText(g, l),
				strconv.Itoa(int(l.AttachedRoutes)), hostsText(l.Hosts), programmed, why, l.Origin.Position())
		}
	}
	_ = c.Flush()
}

// listenerName tells the listeners of ListenerSets from the Gateway's own.
func listenerName(g *gateways.Gateway, l *gateways.Listener) string {
	switch {
	case l.Of.Kind == "Gateway":
		return l.Name
	case l.Of.Namespace == g.Key.Namespace:
		return l.Of.Name + "/" + l.Name
	}
	return l.Of.Namespace + "/" + l.Of.Name + "/" + l.Name
}

// programmed says whether something is served, and what is wrong with it.
func programmed(conditions []model.Condition) (answer, why string) {
	answer = "no"
	served, bad := gateways.Programmed(conditions)
	if served {
		answer = "yes"
	}
	if bad != nil {
		why = bad.Reason + ": " + bad.Message
	}
	return answer, why
}

// addressesText is where a listener is dialled: what of the Gateway's addresses
// it has, and the port at which a load balancer dials nodes.
func addressesText(g *gateways.Gateway, l *gateways.Listener) string {
	if l == nil {
		return joined(g.Addresses)
	}
	for _, p := range g.Ports {
		if p.Port != l.Port || p.Protocol != l.Transport() {
			continue
		}
		text := joined(p.Addresses)
		switch {
		case p.Target != 0 && text == "":
			return fmt.Sprintf("nodes:%d", p.Target)
		case p.Target != 0:
			return fmt.Sprintf("%s, nodes:%d", text, p.Target)
		case text == "":
			return "all of the node"
		}
		return text
	}
	return joined(g.Addresses)
}

func joined(addresses []netip.Addr) string {
	texts := make([]string, len(addresses))
	for i, a := range addresses {
		texts[i] = a.String()
	}
	return strings.Join(texts, ",")
}

// hostsText lists host names, as many as a table can take.
func hostsText(hosts []string) string {
	const most = 4
	if len(hosts) <= most {
		return strings.Join(hosts, ",")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(hosts[:most], ","), len(hosts)-most)
}

// printGatewayRoutes writes what is routed of Gateways: requests by their hosts,
// in the order in which rules are tried, and connections.
func printGatewayRoutes(w io.Writer, all routed) {
	c := newColumns(w, "GATEWAY", "CHAIN", "HOST", "ORDER", "MATCH", "BACKENDS", "RULE", "WHERE")
	for _, h := range all.Hosts {
		for i, e := range h.HTTP.Entries {
			c.row(h.Key.Port.String(), h.Key.Chain, h.Key.Domain, strconv.Itoa(i+1), matchText(e.Match), outcome(e.Rule), ruleName(e.Rule.Origin), e.Rule.Origin.Position())
		}
	}
	for _, p := range all.Ports {
		for _, chain := range p.Chains {
			if l4 := chain.L4; l4 != nil {
				c.row(p.Key.String(), chain.Name, strings.Join(chain.ServerNames, ","), "", "every connection", backends(l4.Backends), ruleName(l4.Origin), l4.Origin.Position())
			}
		}
		if l4 := p.Datagrams; l4 != nil {
			c.row(p.Key.String(), "", "", "", "every datagram", backends(l4.Backends), ruleName(l4.Origin), l4.Origin.Position())
		}
	}
	_ = c.Flush()
}
