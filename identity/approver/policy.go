package approver

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sluice.io/sluice/identity"
	"sluice.io/sluice/identity/certmanager"
)

// Account is a service account.
type Account struct{ Namespace, Name string }

// username is what the API server calls a service account.
func (a Account) username() string { return "system:serviceaccount:" + a.Namespace + ":" + a.Name }

// Policy is what the rule is about.
type Policy struct {
	TrustDomain identity.TrustDomain
	// Namespace is where agents make requests, and Issuer whom they name. Any other
	// request is nobody's business here.
	Namespace string
	Issuer    certmanager.IssuerRef
	// Agent is the service account of agents.
	Agent Account
	// Lifetime is how long certificates may be valid.
	Lifetime time.Duration
	// Annotations are those that requests may have besides Sluice's own: such as
	// clusters put on all objects. Issuers may heed annotations, so none is let
	// through that was not named.
	Annotations []string
}

// complete checks the policy.
func (p Policy) complete() error {
	if p.TrustDomain.IsZero() || p.Namespace == "" || p.Issuer.Name == "" || p.Agent.Namespace == "" || p.Agent.Name == "" || p.Lifetime <= 0 {
		return errors.New("who approves needs to know the trust domain, the namespace of requests, the issuer, the agents' service account, and how long certificates may be valid")
	}
	return nil
}

// Verdict is what becomes of a request.
type Verdict int

// The verdicts.
const (
	// LeaveAlone is for requests that are somebody else's, or decided.
	LeaveAlone Verdict = iota
	Approve
	Deny
)

// String is the verdict as metrics have it.
func (v Verdict) String() string { return [...]string{"left", "approved", "denied"}[v] }

// Decision is a verdict with its reason: one of the Reasons, and words.
type Decision struct {
	Verdict Verdict
	Reason  string
	Message string
}

// The reasons.
const (
	ReasonRunsHere     = "PodRunsOnNode"
	ReasonRequester    = "NotAnAgent"
	ReasonNode         = "NoNode"
	ReasonAgentGone    = "AgentGone"
	ReasonUnknownField = "UnknownField"
	ReasonAnnotation   = "Annotation"
	ReasonCA           = "CA"
	ReasonUsages       = "Usages"
	ReasonDuration     = "Duration"
	ReasonRequest      = "Request"
	ReasonTrustDomain  = "TrustDomain"
	ReasonNoPod        = "NoPodOnNode"
)

func denied(reason, format string, args ...any) Decision {
	return Decision{Deny, reason, fmt.Sprintf(format, args...)}
}

// Request is what is decided on.
type Request struct {
	*certmanager.CertificateRequest
	// Unknown is an error that names what the spec holds and nobody here knows.
	Unknown error
}

// Question is what has to be looked up for a decision.
type Question struct {
	// Node is where the agent runs, AgentPod and AgentUID which pod it is.
	Node, AgentPod, AgentUID string
	// Identity is asked for: pods on Node with it make the request rightful.
	Identity identity.ID
}

// The keys under which the API server tells to what a token is bound.
const (
	extraNode   = "authentication.kubernetes.io/node-name"
	extraPod    = "authentication.kubernetes.io/pod-name"
	extraPodUID = "authentication.kubernetes.io/pod-uid"
)

// Examine decides as far as the request alone tells. When it has nothing against
// it, it returns what has to be looked up.
func (p Policy) Examine(r Request) (*Question, Decision) {
	if d, ours := p.ours(r); !ours {
		return nil, d
	}
	q, d := p.requester(r)
	if q == nil {
		return nil, d
	}
	if d := p.terms(r); d.Verdict == Deny {
		return nil, d
	}
	der, err := identity.RequestFromPEM(r.Spec.Request)
	if err != nil {
		return nil, denied(ReasonRequest, "%s", err)
	}
	if q.Identity, _, err = identity.ReadRequest(der); err != nil {
		return nil, denied(ReasonRequest, "%s", err)
	}
	if q.Identity.TrustDomain() != p.TrustDomain {
		return nil, denied(ReasonTrustDomain, "%s is not of trust domain %s", q.Identity, p.TrustDomain)
	}
	return q, Decision{}
}

// ours tells whether the request is ours to decide.
func (p Policy) ours(r Request) (Decision, bool) {
	switch {
	case r.Namespace != p.Namespace:
		return Decision{Message: "another namespace's"}, false
	case r.Spec.IssuerRef.Complete() != p.Issuer.Complete():
		return Decision{Message: "another issuer's"}, false
	case r.Status.Decided():
		return Decision{Message: "decided already"}, false
	case r.DeletionTimestamp != nil:
		return Decision{Message: "being removed"}, false
	}
	return Decision{}, true
}

// requester finds out which agent asks, by what the API server says of its token.
func (p Policy) requester(r Request) (*Question, Decision) {
	if r.Spec.Username != p.Agent.username() {
		return nil, denied(ReasonRequester, "%q is not the agents' service account %q", clip(r.Spec.Username), p.Agent.username())
	}
	var q Question
	for key, into := range map[string]*string{extraNode: &q.Node, extraPod: &q.AgentPod, extraPodUID: &q.AgentUID} {
		v := r.Spec.Extra[key]
		if len(v) != 1 || v[0] == "" {
			return nil, denied(ReasonNode, "the requester's token has %d values of %s: it is not bound to one pod on one node, as an agent's is; API servers before 1.30 do not tell", len(v), key)
		}
		*into = v[0]
	}
	return &q, Decision{}
}

// terms holds what is asked for, beside the identity, against what there may be.
func (p Policy) terms(r Request) Decision {
	switch d := r.Spec.Duration; {
	case r.Unknown != nil:
		return denied(ReasonUnknownField, "the request has something that this version of Sluice does not know, and could not answer for: %s", clip(r.Unknown.Error()))
	case r.Spec.IsCA:
		return denied(ReasonCA, "the request is for an authority")
	case !certmanager.IsUsages(r.Spec.Usages):
		return denied(ReasonUsages, "usages %q: want digital signature, server auth and client auth", clip(strings.Join(r.Spec.Usages, ", ")))
	case d == nil:
		return denied(ReasonDuration, "the request has no duration: an issuer's own may be anything")
	case d.Duration <= 0 || d.Duration > p.Lifetime:
		return denied(ReasonDuration, "duration %s: want at most %s", d.Duration, p.Lifetime)
	}
	for key := range r.Annotations {
		if !strings.HasPrefix(key, certmanager.AnnotationPrefix) && !slices.Contains(p.Annotations, key) {
			return denied(ReasonAnnotation, "annotation %q: an issuer may heed it; allow it if none does", clip(key))
		}
	}
	return Decision{}
}

// Decide decides on a request by facts, which answer the [Question] of Examine.
func (p Policy) Decide(r Request, f Facts, now time.Time) Decision {
	q, d := p.Examine(r)
	if q == nil {
		return d
	}
	if why := f.agentGone(*q, p.Agent); why != "" {
		return denied(ReasonAgentGone, "%s", why)
	}
	var not []string
	for _, pod := range f.Pods {
		why := pod.hasNot(q.Identity, q.Node, now)
		if why == "" {
			return Decision{Approve, ReasonRunsHere, fmt.Sprintf("pod %s/%s runs on node %s as %s", pod.Namespace, pod.Name, q.Node, q.Identity)}
		}
		not = append(not, pod.Name+" "+why)
	}
	slices.Sort(not)
	s := fmt.Sprintf("no pod of service account %s/%s that could be meshed is on node %s", q.Identity.Namespace(), q.Identity.ServiceAccount(), q.Node)
	if len(not) > 0 {
		s += ": " + strings.Join(not[:min(len(not), 5)], ", ")
	}
	return Decision{Deny, ReasonNoPod, s}
}

// clip shortens what others have written, for messages.
func clip(s string) string {
	const longest = 200
	if len(s) > longest {
		return s[:longest] + "..."
	}
	return s
}
