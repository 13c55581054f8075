package gateway

import (
	"fmt"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
)

// layer tells which listeners may share a port: connections of one layer can be
// told apart by host names, those of two layers cannot.
type layer int

const (
	plainLayer layer = iota // HTTP, by the Host header
	tlsLayer                // HTTPS and TLS, by the server name
	rawLayer                // TCP or UDP: nothing tells connections apart
)

func (l *Listener) layer() layer {
	switch {
	case l.Protocol == gatewayv1.HTTPProtocolType:
		return plainLayer
	case l.Secure():
		return tlsLayer
	}
	return rawLayer
}

// claimKey is what only one listener of a gateway can have.
type claimKey struct {
	port   model.PortKey
	domain string
}

// claims are the ports and host names of a gateway that are taken.
type claims struct {
	layers map[model.PortKey]map[layer]*Listener
	names  map[claimKey][]*Listener
}

func newClaims(ls ...*Listener) *claims {
	c := &claims{map[model.PortKey]map[layer]*Listener{}, map[claimKey][]*Listener{}}
	for _, l := range ls {
		c.add(l)
	}
	return c
}

// settleConflicts refuses listeners that cannot be told from others. Within one
// Gateway or ListenerSet neither of two such listeners is served; between them
// the earlier one is: the Gateway's, then those of the older ListenerSet.
func settleConflicts(units [][]*Listener) {
	taken := newClaims()
	for _, unit := range units {
		unit = distinct(unit, taken)
		unit = distinct(unit, newClaims(unit...))
		for _, l := range unit {
			taken.add(l)
		}
	}
}

// distinct refuses the listeners that cannot be told from those of claims, and
// returns the others.
func distinct(unit []*Listener, c *claims) []*Listener {
	var left []*Listener
	for _, l := range unit {
		if l.Refused != nil {
			continue
		}
		if other := c.against(l); other != nil {
			l.conflict(other)
		} else {
			left = append(left, l)
		}
	}
	return left
}

// against returns another listener that this one cannot be told from.
func (c *claims) against(l *Listener) *Listener {
	for _, other := range []layer{plainLayer, tlsLayer, rawLayer} {
		if o := c.layers[l.PortKey()][other]; o != nil && other != l.layer() {
			return o
		}
	}
	for _, o := range c.names[claimKey{l.PortKey(), l.Domain}] {
		if o != l {
			return o
		}
	}
	return nil
}

func (c *claims) add(l *Listener) {
	k := l.PortKey()
	if c.layers[k] == nil {
		c.layers[k] = map[layer]*Listener{}
	}
	if c.layers[k][l.layer()] == nil {
		c.layers[k][l.layer()] = l
	}
	n := claimKey{k, l.Domain}
	c.names[n] = append(c.names[n], l)
}

// conflict refuses a listener because of another.
func (l *Listener) conflict(other *Listener) {
	l.Conflicted = true
	who := fmt.Sprintf("listener %q", other.Name)
	if other.Parent != l.Parent {
		who += " of " + other.Parent.String()
	}
	if other.layer() != l.layer() || l.layer() == rawLayer {
		l.Refused = finding.New(string(gatewayv1.ListenerReasonProtocolConflict),
			"port %d cannot serve protocol %s beside the %s of %s", l.Port, l.Protocol, other.Protocol, who)
		return
	}
	l.Refused = finding.New(string(gatewayv1.ListenerReasonHostnameConflict), "%s has host name %s on port %d as well", who, l.Domain, l.Port)
}
