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
	rules := make([]l4Rule, len(o.Spec.Rules))
	for i, r := range o.Spec.Rules {
		rules[i] = l4Rule{r.Name, r.BackendRefs}
	}
	rt.named(o.Spec.Hostnames)
	rt.readL4(TLS, o.Spec.ParentRefs, rules)
}

func (rt *Route) readTCP(o *gatewayv1.TCPRoute) {
	rules := make([]l4Rule, len(o.Spec.Rules))
	for i, r := range o.Spec.Rules {
		rules[i] = l4Rule{r.Name, r.BackendRefs}
	}
	rt.readL4(TCP, o.Spec.ParentRefs, rules)
}

func (rt *Route) readUDP(o *gatewayv1.UDPRoute) {
	rules := make([]l4Rule, len(o.Spec.Rules))
	for i, r := range o.Spec.Rules {
		rules[i] = l4Rule{r.Name, r.BackendRefs}
	}
	rt.readL4(UDP, o.Spec.ParentRefs, rules)
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
