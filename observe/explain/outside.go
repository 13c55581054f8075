package explain

import (
	"fmt"
	"slices"
	"strings"

	"sluice.io/sluice/model"
	"sluice.io/sluice/observe/gateways"
)

// caller is a query of a client outside being answered.
type caller struct {
	explainer
	all  []*gateways.Gateway
	gate *gateways.Gateway
}

// fromOutside answers for a client outside, that dials a Gateway.
func fromOutside(m *model.Mesh, statuses map[model.ObjectRef]*model.Status, q Query) (*Answer, error) {
	d, with, err := q.fromURL()
	if err != nil {
		return nil, err
	}
	c := &caller{all: gateways.List(m, statuses)}
	c.explainer = explainer{mesh: m, query: with, to: d, outside: true, answer: &Answer{Query: q, Handler: HandlerNone}}
	if !c.choose() {
		return c.answer, nil
	}
	if p := c.port(); p != nil {
		c.answer.Handler, c.answer.Why = HandlerEnvoy, fmt.Sprintf("Gateway %s has port %d/%s", c.gate.Key, d.port, d.protocol)
		c.enter(p)
	}
	c.leftOut()
	return c.answer, nil
}

// choose finds the Gateway that is dialled; when there is none, it answers why.
func (c *caller) choose() bool {
	if want := c.query.Gateway; want != (model.GatewayKey{}) {
		var names []string
		for _, g := range c.all {
			if g.Key == want {
				c.gate = g
				return true
			}
			names = append(names, g.Key.String())
		}
		c.nowhere(fmt.Sprintf("there is no Gateway %s of Sluice's", want))
		if s := suggest(want.String(), names); s != "" {
			c.note("%s", strings.TrimSpace(s))
		}
		return false
	}
	could := c.candidates()
	if len(could) == 1 {
		c.gate = could[0]
		return true
	}
	if len(could) == 0 {
		c.nowhere(fmt.Sprintf("no Gateway is at %s", c.to))
		c.note("For a client in the mesh, name it with --from.")
		return false
	}
	names := make([]string, len(could))
	for i, g := range could {
		names[i] = g.Key.String()
	}
	c.nowhere("several Gateways may be meant: " + strings.Join(names, ", "))
	c.note("Name one with --gateway.")
	return false
}

// candidates are the Gateways that have the address and port that are dialled;
// for a name, those that have routes for it; or else those with the port.
func (c *caller) candidates() []*gateways.Gateway {
	var at, anywhere, byName, byPort []*gateways.Gateway
	for _, g := range c.all {
		if g.At(c.to.port, c.to.protocol) == nil {
			continue
		}
		byPort = append(byPort, g)
		addresses := g.AddressesOf(c.to.port, c.to.protocol)
		switch {
		case c.to.addr.IsValid() && slices.Contains(addresses, c.to.addr):
			at = append(at, g)
		case c.to.addr.IsValid() && len(addresses) == 0:
			anywhere = append(anywhere, g)
		case !c.to.addr.IsValid() && g.Serves(c.to.port, c.to.host):
			byName = append(byName, g)
		}
	}
	for _, some := range [][]*gateways.Gateway{at, anywhere, byName} {
		if len(some) > 0 {
			return some
		}
	}
	if c.to.addr.IsValid() {
		return nil
	}
	return byPort
}

// nowhere answers that nothing is dialled that is known.
func (c *caller) nowhere(why string) {
	c.answer.Why = why
	c.answer.Outcome = Outcome{Verdict: Untouched, Text: "Sluice has no part in the connection"}
}

// port finds the port that is dialled; when it is not served, it answers why.
func (c *caller) port() *model.GatewayPort {
	k := model.PortKey{Gateway: c.gate.Key, Port: c.to.port, Protocol: c.to.protocol}
	c.answer.Entrance = &Entrance{Gateway: k.Gateway, Origin: c.gate.Origin, Port: k.Port, Protocol: k.Protocol}
	p := c.mesh.Ports[k]
	if p == nil {
		c.unserved(k)
		return nil
	}
	for _, a := range p.Addresses {
		c.answer.Entrance.Addresses = append(c.answer.Entrance.Addresses, a.String())
	}
	if c.to.addr.IsValid() && len(p.Addresses) > 0 && !slices.Contains(p.Addresses, c.to.addr) {
		c.nowhere(fmt.Sprintf("%s is no address of Gateway %s for port %d: it has %s", c.to.addr, k.Gateway, k.Port, strings.Join(c.answer.Entrance.Addresses, ", ")))
		if p.Target != 0 {
			c.note("Load balancers dial the nodes at port %d.", p.Target)
		}
		return nil
	}
	if top := c.gate.Condition("Programmed"); top != nil && !top.Status {
		c.note("Gateway %s: %s: %s", k.Gateway, top.Reason, top.Message)
	}
	return p
}

// unserved answers that a Gateway does not serve a port.
func (c *caller) unserved(k model.PortKey) {
	var has []string
	var why *model.Condition
	for i := range c.gate.Listeners {
		l := &c.gate.Listeners[i]
		has = append(has, fmt.Sprintf("%d/%s", l.Port, l.Transport()))
		if l.Port != k.Port || l.Transport() != k.Protocol {
			continue
		}
		c.listener(l)
		if served, bad := gateways.Programmed(l.Conditions); !served {
			why = bad
		}
	}
	c.answer.Outcome = Outcome{Verdict: Refused, Text: "the connection is refused, or nobody answers at the address"}
	accepted := c.gate.Condition("Accepted")
	switch {
	case accepted != nil && !accepted.Status:
		c.answer.Why = fmt.Sprintf("Gateway %s is not accepted: %s: %s", k.Gateway, accepted.Reason, accepted.Message)
	case why != nil:
		c.answer.Why = fmt.Sprintf("listener %s is not served: %s: %s", c.answer.Entrance.Listener, why.Reason, why.Message)
	case c.answer.Entrance.Listener != "" && k.Protocol == model.UDP:
		c.answer.Why = fmt.Sprintf("no UDPRoute is attached to listener %s", c.answer.Entrance.Listener)
		c.answer.Outcome = Outcome{Verdict: Closed, Text: "datagrams are dropped"}
	case c.answer.Entrance.Listener != "":
		c.answer.Why = fmt.Sprintf("nothing is served on port %d/%s", k.Port, k.Protocol)
	default:
		slices.Sort(has)
		c.answer.Why = fmt.Sprintf("Gateway %s has no listener on port %d/%s: it has %s", k.Gateway, k.Port, k.Protocol, strings.Join(slices.Compact(has), ", "))
	}
}

// listener notes whose chain or host it is.
func (c *caller) listener(l *gateways.Listener) {
	if l == nil {
		return
	}
	in := c.answer.Entrance
	in.Listener, in.At = l.Name, &l.Origin
	if l.Of.Kind != "Gateway" {
		in.Listener += " of " + l.Of.String()
	}
}

// maxLeftOut bounds how many routes are listed that do not take part.
const maxLeftOut = 5

// leftOut lists the routes that name the listeners of the port in vain.
func (c *caller) leftOut() {
	for i := range c.gate.Refused {
		r := &c.gate.Refused[i]
		concerns := slices.ContainsFunc(c.gate.Listeners, func(l gateways.Listener) bool {
			return l.Port == c.to.port && l.Transport() == c.to.protocol && r.Concerns(&l)
		})
		switch {
		case !concerns:
		case len(c.answer.LeftOut) < maxLeftOut:
			c.answer.LeftOut = append(c.answer.LeftOut, *r)
		default:
			c.answer.MoreLeftOut++
		}
	}
}
