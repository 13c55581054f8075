package rules

import (
	"fmt"
	"hash/fnv"
	"regexp/syntax"
	"strings"
	"time"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
)

func httpTimeouts(in *gatewayv1.HTTPRouteTimeouts) (out model.HTTPTimeouts, f *finding.Finding) {
	if in == nil {
		return out, nil
	}
	if out.Request, f = optionalDuration("timeouts.request", in.Request); f != nil {
		return out, f
	}
	if out.BackendRequest, f = optionalDuration("timeouts.backendRequest", in.BackendRequest); f != nil {
		return out, f
	}
	if r, b := out.Request, out.BackendRequest; r != nil && b != nil && *r != 0 && *b > *r {
		return out, finding.Unsupported("timeouts.backendRequest %s is longer than timeouts.request %s", *b, *r)
	}
	return out, nil
}

// defaultAttempts is how often a request is repeated when the route does not say.
const defaultAttempts = 1

func httpRetry(in *gatewayv1.HTTPRouteRetry) (*model.HTTPRetry, *finding.Finding) {
	if in == nil {
		return nil, nil
	}
	out := &model.HTTPRetry{Attempts: defaultAttempts}
	for _, code := range in.Codes {
		if code < 400 || code > 599 {
			return nil, finding.Unsupported("retry code %d is not between 400 and 599", code)
		}
		out.Codes = append(out.Codes, uint32(code))
	}
	if in.Attempts != nil {
		if *in.Attempts < 1 {
			return nil, finding.Unsupported("retry attempts %d is less than 1", *in.Attempts)
		}
		out.Attempts = uint32(*in.Attempts)
	}
	d, f := optionalDuration("retry.backoff", in.Backoff)
	if f != nil {
		return nil, f
	}
	out.Backoff = ptr.Deref(d, 0)
	return out, nil
}

// session reads session persistence (GEP-1619). Its path is filled in for each
// match, see [forPath].
func (c *compiler) session(in *gatewayv1.SessionPersistence) (*model.SessionPersistence, *finding.Finding) {
	if in == nil {
		return nil, nil
	}
	out := &model.SessionPersistence{Name: ptr.Deref(in.SessionName, "")}
	if out.Name == "" {
		out.Name = c.sessionName()
	}
	if !validToken(out.Name) {
		return nil, finding.Unsupported("sessionName %q is not valid as the name of a cookie or header", out.Name)
	}
	switch kind := ptr.Deref(in.Type, gatewayv1.CookieBasedSessionPersistence); kind {
	case gatewayv1.CookieBasedSessionPersistence:
	case gatewayv1.HeaderBasedSessionPersistence:
		out.Header = true
	default:
		return nil, finding.Unsupported("sessionPersistence type %q is not known", kind)
	}
	timeout, f := optionalDuration("sessionPersistence.absoluteTimeout", in.AbsoluteTimeout)
	if f != nil {
		return nil, f
	}
	return out, c.sessionLifetime(out, in.CookieConfig, timeout)
}

func (c *compiler) sessionLifetime(out *model.SessionPersistence, in *gatewayv1.CookieConfig, timeout *time.Duration) *finding.Finding {
	lifetime := gatewayv1.SessionCookieLifetimeType
	if in != nil {
		lifetime = ptr.Deref(in.LifetimeType, lifetime)
	}
	switch {
	case in != nil && out.Header:
		return finding.Unsupported("sessionPersistence.cookieConfig is for sessions in cookies")
	case lifetime == gatewayv1.PermanentCookieLifetimeType && (timeout == nil || *timeout == 0):
		return finding.Unsupported("a permanent cookie needs sessionPersistence.absoluteTimeout")
	case lifetime == gatewayv1.PermanentCookieLifetimeType:
		out.TTL = *timeout
	case lifetime != gatewayv1.SessionCookieLifetimeType:
		return finding.Unsupported("cookie lifetimeType %q is not known", lifetime)
	case timeout != nil && *timeout != 0:
		c.note("sessionPersistence.absoluteTimeout is enforced for permanent cookies only")
	}
	return nil
}

// sessionName makes up a name that stays the same as long as the rule keeps its
// name, or its place in the route.
func (c *compiler) sessionName() string {
	rule := c.origin.RuleName
	if rule == "" {
		rule = fmt.Sprint(c.origin.Rule)
	}
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s\n%s", c.route.Ref, rule)
	return fmt.Sprintf("sluice-session-%x", h.Sum64())
}

// forPath returns the rule for a match of the given path. Rules are the same
// for all of their matches, but for the path of a session's cookie, which
// follows from the match.
func forPath(rule *model.HTTPRule, path *model.StringMatch, made map[string]*model.HTTPRule) *model.HTTPRule {
	if rule.Session == nil || rule.Session.Header {
		return rule
	}
	p := cookiePath(path)
	if made[p] == nil {
		c, s := *rule, *rule.Session
		s.Path = p
		c.Session = &s
		made[p] = &c
	}
	return made[p]
}

// cookiePath is the longest path that all requests of a match have in common.
func cookiePath(path *model.StringMatch) string {
	if path == nil {
		return "/"
	}
	if path.Kind != model.MatchRegex {
		return path.Value
	}
	// Whole elements before the first operator of the expression.
	literal, whole := literalPrefix(path.Value)
	if whole {
		return literal
	}
	if i := strings.LastIndexByte(literal, '/'); i > 0 {
		return literal[:i]
	}
	return "/"
}

// literalPrefix returns what each string that an expression matches begins with,
// and whether that is all of it.
func literalPrefix(pattern string) (prefix string, whole bool) {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return "", false
	}
	re, whole = re.Simplify(), true
	if re.Op == syntax.OpConcat && len(re.Sub) > 0 {
		re, whole = re.Sub[0], false
	}
	if re.Op != syntax.OpLiteral || re.Flags&syntax.FoldCase != 0 {
		return "", false
	}
	return string(re.Rune), whole
}
