package resolve

import (
	"fmt"
	"regexp"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
)

// compiled is a route as its rules say, apart from where it attaches.
type compiled struct {
	// rejected is set when no rule can be used: then nothing attaches.
	rejected   *finding
	dropped    []finding // rules that are left out, when others remain
	unresolved []finding // references that lead nowhere, and filters that we lack
	notes      []string  // what an operator should know, though nothing is wrong
	entries    []entry   // of an HTTPRoute or GRPCRoute, in order of precedence
	l4         *model.L4Routing
}

// compiler builds one route. It reads the resolver's services.
type compiler struct {
	*Resolver
	route *route
	out   *compiled
	// gateway tells that gateways will serve the route, rather than the mesh.
	gateway bool
	// origin is the rule being compiled.
	origin model.Origin
	// failing is set when a filter of the rule is not supported: the rule must
	// then answer with an error instead of passing the filter by.
	failing bool
}

// begin starts a rule.
func (c *compiler) begin(i int, ruleName *gatewayv1.SectionName) {
	c.origin = c.route.obj.RuleOrigin(i, string(deref(ruleName, "")))
	c.failing = false
}

// where names the rule being compiled, for messages.
func (c *compiler) where() string {
	var s string
	if c.origin.RuleName != "" {
		s = fmt.Sprintf("rule %q", c.origin.RuleName)
	} else {
		s = fmt.Sprintf("rule %d", c.origin.Rule)
	}
	if p := c.origin.Position(); p != "" {
		s += " (" + p + ")"
	}
	return s
}

// drop leaves the rule out.
func (c *compiler) drop(f *finding) {
	c.out.dropped = append(c.out.dropped, finding{c.where(), f.reason, f.message})
}

// unresolved notes a reference of the rule that leads nowhere.
func (c *compiler) unresolved(reason, format string, args ...any) {
	c.out.unresolved = append(c.out.unresolved, finding{c.where(), reason, fmt.Sprintf(format, args...)})
}

// note tells the operator something about the rule.
func (c *compiler) note(format string, args ...any) {
	c.out.notes = append(c.out.notes, c.where()+": "+fmt.Sprintf(format, args...))
}

// finish decides whether the route is usable, given the number of its rules.
func (c *compiler) finish(rules int) *compiled {
	if rules > 0 && len(c.out.dropped) == rules {
		all := merge("", c.out.dropped)
		c.out.rejected = &all
		c.out.dropped = nil
	}
	return c.out
}

// unsupported is the finding for a value that cannot be used.
func unsupported(format string, args ...any) *finding {
	return &finding{reason: reasonUnsupportedValue, message: fmt.Sprintf(format, args...)}
}

// incompatible is the finding for filters that exclude each other.
func incompatible(format string, args ...any) *finding {
	return &finding{reason: reasonIncompatibleFilters, message: fmt.Sprintf(format, args...)}
}

var durationForm = regexp.MustCompile(`^([0-9]{1,5}(h|m|s|ms)){1,4}$`)

// duration parses a Gateway API duration (GEP-2257).
func duration(what string, d gatewayv1.Duration) (time.Duration, *finding) {
	if !durationForm.MatchString(string(d)) {
		return 0, unsupported("%s %q is not a duration such as 500ms or 1m30s", what, d)
	}
	v, err := time.ParseDuration(string(d))
	if err != nil {
		return 0, unsupported("%s %q is not a duration: %v", what, d, err)
	}
	return v, nil
}

func optionalDuration(what string, d *gatewayv1.Duration) (*time.Duration, *finding) {
	if d == nil {
		return nil, nil
	}
	v, f := duration(what, *d)
	return &v, f
}
