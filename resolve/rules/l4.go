package rules

import (
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
)

// l4Rule is the rule of a TLSRoute, TCPRoute or UDPRoute.
type l4Rule struct {
	name *gatewayv1.SectionName
	refs []gatewayv1.BackendRef
}

func (rt *Route) readTLS(o *gatewayv1.TLSRoute) {
	rt.named(o.Spec.Hostnames)
	rt.readL4(TLS, o.Spec.ParentRefs, l4Rules(o.Spec.Rules, func(r gatewayv1.TLSRouteRule) l4Rule { return l4Rule{r.Name, r.BackendRefs} }))
}

func (rt *Route) readTCP(o *gatewayv1.TCPRoute) {
	rt.readL4(TCP, o.Spec.ParentRefs, l4Rules(o.Spec.Rules, func(r gatewayv1.TCPRouteRule) l4Rule { return l4Rule{r.Name, r.BackendRefs} }))
}

func (rt *Route) readUDP(o *gatewayv1.UDPRoute) {
	rt.readL4(UDP, o.Spec.ParentRefs, l4Rules(o.Spec.Rules, func(r gatewayv1.UDPRouteRule) l4Rule { return l4Rule{r.Name, r.BackendRefs} }))
}

func l4Rules[R any](in []R, read func(R) l4Rule) []l4Rule {
	out := make([]l4Rule, len(in))
	for i, r := range in {
		out[i] = read(r)
	}
	return out
}

func (rt *Route) readL4(rank Rank, parents []gatewayv1.ParentReference, rules []l4Rule) {
	rt.Rank, rt.ParentRefs = rank, parents
	for _, rule := range rules {
		for _, b := range rule.refs {
			rt.use(b.BackendObjectReference)
		}
	}
	rt.compile = func(c *compiler) { c.l4Route(rules) }
}

// l4Route compiles the first rule: nothing tells connections apart, so a second
// one could never take any.
func (c *compiler) l4Route(rules []l4Rule) {
	for i, rule := range rules {
		c.begin(i, rule.name)
		if i > 0 {
			c.drop(finding.Unsupported("only the first rule of a %s can take connections", c.route.Ref.Kind))
			continue
		}
		l4 := &model.L4Routing{Origin: c.origin}
		for _, ref := range rule.refs {
			l4.Backends = append(l4.Backends, c.weighted(ref))
		}
		if len(l4.Backends) == 0 {
			c.note("there are no backendRefs: connections are refused")
			l4.Backends = []model.WeightedBackend{{Weight: 1, Invalid: finding.BackendNotFound}}
		}
		c.out.L4 = l4
	}
	if c.out.L4 == nil {
		c.out.Rejected = finding.Unsupported("%s needs a rule", c.route.Article())
	}
}
