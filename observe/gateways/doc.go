// Package gateways joins what the model has of gateways, their ports and hosts,
// with what was said of their listeners and of the routes that name them.
//
// It owns which listener a chain or a host belongs to. It is pure and reads the
// model only: it must not know Kubernetes, Envoy or eBPF types.
package gateways

import (
	"net/netip"

	"sluice.io/sluice/model"
)

// Gateway is a Gateway with all that is known of it.
type Gateway struct {
	Key        model.GatewayKey  `json:"key"`
	Origin     model.Origin      `json:"origin"`
	Addresses  []netip.Addr      `json:"addresses,omitempty"`
	Conditions []model.Condition `json:"conditions,omitempty"`
	// Listeners are the Gateway's own, then those of its ListenerSets.
	Listeners []Listener `json:"listeners"`
	// Ports are those that are served.
	Ports []Port `json:"ports,omitempty"`
	// Refused are the routes that name the Gateway, or a ListenerSet of its, and do
	// not take part in it, or not everywhere.
	Refused []Refusal `json:"refused,omitempty"`
}

// Listener is one listener of a Gateway.
type Listener struct {
	Name string `json:"name"`
	// Of is the Gateway or the ListenerSet whose listener it is.
	Of       model.ObjectRef `json:"of"`
	Port     uint16          `json:"port"`
	Protocol string          `json:"protocol"`
	// Hostname is a domain as in [model.HostKey].
	Hostname string `json:"hostname"`
	// Chain is its chain on the port. TLS listeners have one for each host name of
	// their routes, which this one's name begins.
	Chain string `json:"chain"`
	// Hosts are the domains for which routes are attached.
	Hosts          []string          `json:"hosts,omitempty"`
	Kinds          []string          `json:"kinds,omitempty"`
	AttachedRoutes int32             `json:"attachedRoutes"`
	Conditions     []model.Condition `json:"conditions,omitempty"`
	Origin         model.Origin      `json:"origin"`
}

// Port is one port of a Gateway that is served.
type Port struct {
	Port     uint16         `json:"port"`
	Protocol model.Protocol `json:"protocol"`
	// Addresses are empty for every address of the node.
	Addresses []netip.Addr `json:"addresses,omitempty"`
	// Target is as in [model.GatewayPort].
	Target uint16 `json:"target,omitempty"`
	// Chains are the names of its chains.
	Chains []string `json:"chains,omitempty"`
}

// Refusal is a route that a Gateway's listeners do not take.
type Refusal struct {
	Route  model.Origin    `json:"route"`
	Parent model.ObjectRef `json:"parent"`
	// Section and Port are those of the parentRef.
	Section   string          `json:"section,omitempty"`
	Port      uint16          `json:"port,omitempty"`
	Condition model.Condition `json:"condition"`
}

// Transport is the transport protocol of the listener.
func (l *Listener) Transport() model.Protocol {
	if l.Protocol == "UDP" {
		return model.UDP
	}
	return model.TCP
}

// Condition returns the listener's condition of a type; nil when nothing is said.
func (l *Listener) Condition(kind string) *model.Condition { return find(l.Conditions, kind) }

// Condition returns the Gateway's condition of a type; nil when nothing is said.
func (g *Gateway) Condition(kind string) *model.Condition { return find(g.Conditions, kind) }

// Programmed tells whether conditions say that something is served, and what they
// say against it, the cause before what follows from it; nil for nothing.
func Programmed(conditions []model.Condition) (served bool, why *model.Condition) {
	for i, c := range conditions {
		served = served || c.Type == "Programmed" && c.Status
		if c.Troubling() && (why == nil || why.Type == "Programmed") {
			why = &conditions[i]
		}
	}
	return served, why
}

func find(all []model.Condition, kind string) *model.Condition {
	for i := range all {
		if all[i].Type == kind {
			return &all[i]
		}
	}
	return nil
}
