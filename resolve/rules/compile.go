package rules

import (
	"fmt"
	"regexp"
	"time"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
)

// Compiled is a route as its rules say, apart from where it attaches.
type Compiled struct {
	// Rejected is set when no rule can be used: then nothing attaches.
	Rejected   *finding.Finding
	Dropped    []*finding.Finding // rules that are left out, when others remain
	Unresolved []*finding.Finding // references that lead nowhere, and filters that we lack
	Notes      []string           // what an operator should know, though nothing is wrong
	L4         *model.L4Routing   // of a TLSRoute, TCPRoute or UDPRoute

	entries []entry // of an HTTPRoute or GRPCRoute, in order of precedence
}

// Lookup follows a reference to a port of a service. A finding says why it leads
// nowhere; the key is then what it would have been.
type Lookup func(gatewayv1.BackendObjectReference) (model.BackendKey, *finding.Finding)

// Compile compiles the route's rules; references are followed by a function of the
// caller's.
func (rt *Route) Compile(follow Lookup) *Compiled {
	c := &compiler{route: rt, follow: follow, out: &Compiled{}}
	rt.compile(c)
	return c.out
}

// compiler compiles one route.
type compiler struct {
	route  *Route
	follow Lookup
	out    *Compiled
	// origin is the rule being compiled.
	origin model.Origin
	// failing is set when a filter of the rule is not supported: the rule must
	// then answer with an error instead of passing the filter by.
	failing bool
}

// begin starts a rule.
func (c *compiler) begin(i int, ruleName *gatewayv1.SectionName) {
	c.origin = c.route.Object.RuleOrigin(i, string(ptr.Deref(ruleName, "")))
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
func (c *compiler) drop(f *finding.Finding) {
	c.out.Dropped = append(c.out.Dropped, &finding.Finding{Where: c.where(), Reason: f.Reason, Message: f.Message})
}

// unresolved notes a reference of the rule that leads nowhere.
func (c *compiler) unresolved(reason, format string, args ...any) {
	c.out.Unresolved = append(c.out.Unresolved, &finding.Finding{Where: c.where(), Reason: reason, Message: fmt.Sprintf(format, args...)})
}

// note tells the operator something about the rule.
func (c *compiler) note(format string, args ...any) {
	c.out.Notes = append(c.out.Notes, c.where()+": "+fmt.Sprintf(format, args...))
}

// finish decides whether the route is usable, given the number of its rules.
func (c *compiler) finish(rules int) {
	if rules > 0 && len(c.out.Dropped) == rules {
		c.out.Rejected, c.out.Dropped = finding.Merge("", c.out.Dropped), nil
	}
}

// weighted compiles a backendRef of the rule.
func (c *compiler) weighted(ref gatewayv1.BackendRef) model.WeightedBackend {
	b := model.WeightedBackend{Weight: uint32(max(0, ptr.Deref(ref.Weight, 1)))}
	b.Backend, b.Invalid = c.lookup("backendRef", ref.BackendObjectReference)
	return b
}

// lookup follows a reference of the rule. When that fails it notes why, and
// returns the reason.
func (c *compiler) lookup(what string, ref gatewayv1.BackendObjectReference) (model.BackendKey, string) {
	k, f := c.follow(ref)
	if f == nil {
		return k, ""
	}
	c.unresolved(f.Reason, "%s: %s", what, f.Message)
	return k, f.Reason
}

// incompatible is the finding for filters that exclude each other.
func incompatible(format string, args ...any) *finding.Finding {
	return finding.New(finding.IncompatibleFilters, format, args...)
}

var durationForm = regexp.MustCompile(`^([0-9]{1,5}(h|m|s|ms)){1,4}$`)

// duration parses a Gateway API duration (GEP-2257).
func duration(what string, d gatewayv1.Duration) (time.Duration, *finding.Finding) {
	if !durationForm.MatchString(string(d)) {
		return 0, finding.Unsupported("%s %q is not a duration such as 500ms or 1m30s", what, d)
	}
	v, err := time.ParseDuration(string(d))
	if err != nil {
		return 0, finding.Unsupported("%s %q is not a duration: %v", what, d, err)
	}
	return v, nil
}

func optionalDuration(what string, d *gatewayv1.Duration) (*time.Duration, *finding.Finding) {
	if d == nil {
		return nil, nil
	}
	v, f := duration(what, *d)
	return &v, f
}
