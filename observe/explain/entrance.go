package explain

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sluice.io/sluice/model"
	"sluice.io/sluice/observe/gateways"
)

// enter follows a connection into a port.
func (c *caller) enter(p *model.GatewayPort) {
	if p.Key.Protocol == model.UDP {
		c.listener(c.gate.At(p.Key.Port, model.UDP))
		c.bytes(p.Datagrams, "datagrams are dropped")
		return
	}
	chain := c.chain(p)
	if chain == nil {
		return
	}
	in := c.answer.Entrance
	in.Chain = chain.Name
	c.listener(c.gate.Listener(p.Key, chain.Name, ""))
	switch {
	case chain.TLS != nil && chain.TLS.Passthrough && chain.L4 == nil:
		c.closed("no TLSRoute is for " + c.serverName())
		return
	case chain.TLS != nil && chain.TLS.Passthrough:
		in.TLS = "passed through: the backend ends it"
	case chain.TLS != nil:
		in.TLS = "ended here, with " + objectNames(chain.TLS.Certificates)
		c.validation(chain.TLS.Client)
	}
	switch {
	case chain.HTTP:
		c.request(p.Key, chain)
	case chain.L4 == nil:
		c.closed("no route is attached to the listener")
	default:
		c.outside = chain.TLS == nil || !chain.TLS.Passthrough // a backend's policy is not for what passes through
		c.bytes(chain.L4, "the connection is closed")
	}
}

func (c *caller) validation(v *model.ClientValidation) {
	switch {
	case v == nil:
	case v.Optional:
		c.note("Clients are asked for a certificate by %s, and let in without.", objectNames(v.Bundles))
	default:
		c.note("Clients must show a certificate by %s: the handshake fails without.", objectNames(v.Bundles))
	}
}

func (c *caller) closed(why string) {
	c.answer.Outcome = Outcome{Verdict: Closed, Text: "the connection is closed: " + why}
}

// serverName is what the client asks for in TLS; a literal address is not asked for.
func (c *caller) serverName() string {
	if c.to.addr.IsValid() {
		return "connections without a server name"
	}
	return c.to.host
}

// chain finds the chain that takes the connection; when there is none, it answers
// why.
func (c *caller) chain(p *model.GatewayPort) *model.Chain {
	secure := slices.ContainsFunc(p.Chains, func(ch model.Chain) bool { return ch.TLS != nil })
	asked := c.to.scheme
	switch {
	case asked == "" && secure && slices.ContainsFunc(p.Chains, func(ch model.Chain) bool { return ch.HTTP }):
		c.to.scheme = "https"
	case asked == "" && secure:
		c.to.scheme = "tls"
	case (asked == "http" || asked == "tcp") && secure:
		c.closed("the client speaks plain text, and the port's listeners expect TLS")
		return nil
	case (asked == "https" || asked == "tls") && !secure:
		if i := slices.IndexFunc(p.Chains, func(ch model.Chain) bool { return !ch.HTTP }); i >= 0 {
			return &p.Chains[i] // bytes are bytes
		}
		c.answer.Outcome = Outcome{Verdict: Closed, Text: "the TLS handshake fails: the port's listeners speak plain text"}
		return nil
	}
	if !secure {
		if len(p.Chains) == 0 {
			c.closed("nothing is served")
			return nil
		}
		return &p.Chains[0]
	}
	if !c.to.addr.IsValid() {
		c.answer.Entrance.ServerName = c.to.host
	}
	for _, name := range gateways.Wider(c.answer.Entrance.ServerName) {
		for i, ch := range p.Chains {
			if slices.Contains(ch.ServerNames, name) || name == "*" && len(ch.ServerNames) == 0 {
				return &p.Chains[i]
			}
		}
	}
	c.closed(fmt.Sprintf("no listener of the port is for %s", c.serverName()))
	c.near(p)
	return nil
}

// near proposes server names that look like the one asked for.
func (c *caller) near(p *model.GatewayPort) {
	var names []string
	for _, ch := range p.Chains {
		names = append(names, ch.ServerNames...)
	}
	if s := suggest(c.to.host, names); s != "" {
		c.note("%s", strings.TrimSpace(s))
	}
}

// bytes follows a connection, or datagrams, that no proxy looks into.
func (c *caller) bytes(l4 *model.L4Routing, otherwise string) {
	if l4 == nil {
		c.answer.Outcome = Outcome{Verdict: Closed, Text: otherwise}
		return
	}
	a := c.answer
	a.Rule = &Rule{Origin: l4.Origin}
	for _, w := range l4.Backends {
		b := c.backend(w, gatewayFamily)
		switch t := c.policy(w.Backend); {
		case w.Invalid != "":
			b.Outcome = Outcome{Verdict: Closed, Text: otherwise + ": " + w.Invalid}
		case t != nil && t.Invalid != "":
			b.Outcome = Outcome{Verdict: Closed, Text: otherwise + ": nothing may be sent to the backend: " + t.Invalid}
		case len(b.Endpoints) == 0:
			b.Outcome = Outcome{Verdict: Closed, Text: otherwise + ": no ready endpoint"}
		default:
			b.Outcome = Outcome{Verdict: Forwarded, Text: "goes to one of them"}
		}
		a.Backends = append(a.Backends, b)
	}
	setPercents(a.Backends)
	a.Outcome = sumUp(a.Backends, Outcome{Verdict: Closed, Text: otherwise + ": no backend has a weight"})
}

// request follows a request to its host, and to a rule of it.
func (c *caller) request(k model.PortKey, chain *model.Chain) {
	if c.to.scheme == "tcp" || c.to.scheme == "tls" {
		c.note("The listener routes requests: what is said here is of a request.")
	}
	if chain.TLS != nil {
		c.to.scheme = "https"
	} else {
		c.to.scheme = "http"
	}
	r := newRequest(c.query, c.to)
	host, _ := splitHost(strings.ToLower(r.values("host")[0]))
	in := c.answer.Entrance
	h := c.host(k, chain.Name, strings.Trim(host, "[]"))
	switch {
	case h == nil:
		c.answer.Outcome = failure(false, 404, "", "no route is for host "+host)
		c.nearHosts(k, chain.Name, host)
	case h.Misdirected:
		in.Domain = h.Key.Domain
		other := "another listener"
		if l := c.otherListener(k, h.Key.Domain); l != nil {
			other = "listener " + l.Name
		}
		c.answer.Outcome = failure(false, 421, "", fmt.Sprintf("host %s is %s's, which has connections of its own: this one was made for %s", host, other, c.serverName()))
	default:
		in.Domain = h.Key.Domain
		c.listener(c.gate.Listener(k, chain.Name, h.Key.Domain))
		if h.HTTP == nil {
			c.answer.Outcome = failure(false, 404, "", fmt.Sprintf("no route for host %s is attached to listener %s", host, in.Listener))
			c.nearHosts(k, chain.Name, host)
			return
		}
		c.route(h.HTTP, r, func() int { return gatewayFamily })
	}
}

// host finds the most specific domain of a chain that a host name belongs to.
func (c *caller) host(k model.PortKey, chain, name string) *model.Host {
	for _, domain := range gateways.Wider(name) {
		if h := c.mesh.Hosts[model.HostKey{Port: k, Chain: chain, Domain: domain}]; h != nil {
			return h
		}
	}
	return nil
}

// otherListener is the listener of a port whose host name is a domain.
func (c *caller) otherListener(k model.PortKey, domain string) *gateways.Listener {
	for i := range c.gate.Listeners {
		if l := &c.gate.Listeners[i]; l.Port == k.Port && l.Transport() == k.Protocol && l.Hostname == domain && domain != "*" {
			return l
		}
	}
	return nil
}

// nearHosts proposes host names that look like the one asked for.
func (c *caller) nearHosts(k model.PortKey, chain, host string) {
	var names []string
	for key := range maps.Keys(c.mesh.Hosts) {
		if h := c.mesh.Hosts[key]; key.Port == k && key.Chain == chain && h.HTTP != nil {
			names = append(names, key.Domain)
		}
	}
	if s := suggest(host, names); s != "" {
		c.note("%s", strings.TrimSpace(s))
	}
}
