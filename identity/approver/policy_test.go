package approver_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sluice.io/sluice/identity"
	"sluice.io/sluice/identity/approver"
	"sluice.io/sluice/identity/certmanager"
	"sluice.io/sluice/identity/identitytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	extraNode = "authentication.kubernetes.io/node-name"
	extraPod  = "authentication.kubernetes.io/pod-name"
	extraUID  = "authentication.kubernetes.io/pod-uid"
	agentName = "system:serviceaccount:sluice-system:sluice-agent"
)

var now = time.Unix(2e9, 0)

func policy(t testing.TB) approver.Policy {
	return approver.Policy{
		TrustDomain: identitytest.ID(t, "a", "b").TrustDomain(), Namespace: "sluice-system",
		Issuer: certmanager.IssuerRef{Name: "mesh"}, Agent: approver.Account{Namespace: "sluice-system", Name: "sluice-agent"}, Lifetime: 24 * time.Hour,
	}
}

// pem is a request for an identity.
func pem(t testing.TB, id identity.ID) []byte {
	t.Helper()
	der, err := identity.NewRequest(id, identitytest.NewKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return identity.RequestToPEM(der)
}

// odd is a request that the standard library makes of a template.
func odd(t testing.TB, template *x509.CertificateRequest) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, template, identitytest.NewKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return identity.RequestToPEM(der)
}

// oddName is a request with alternative names of that wording.
func oddName(t testing.TB, names ...string) []byte {
	t.Helper()
	var raw []asn1.RawValue
	for _, n := range names {
		raw = append(raw, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(n)})
	}
	value, err := asn1.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	return odd(t, &x509.CertificateRequest{ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: value}}})
}

// rightful is a request that is approved: of the agent on node1, for the identity
// of a pod there.
func rightful(t testing.TB) approver.Request {
	return approver.Request{CertificateRequest: &certmanager.CertificateRequest{
		ObjectMeta: metav1.ObjectMeta{Namespace: "sluice-system", Name: "node1-x", Annotations: map[string]string{"sluice.io/identity": "anything"}},
		Spec: certmanager.Spec{
			Duration: &metav1.Duration{Duration: 24 * time.Hour}, IssuerRef: certmanager.IssuerRef{Name: "mesh", Kind: "Issuer", Group: "cert-manager.io"},
			Request: pem(t, identitytest.ID(t, "shop", "cart")), Usages: []string{"server auth", "digital signature", "client auth"},
			Username: agentName, Groups: []string{"system:serviceaccounts"},
			Extra: map[string][]string{extraNode: {"node1"}, extraPod: {"sluice-agent-1"}, extraUID: {"uid-agent"}},
		},
	}}
}

// facts are those that make it rightful.
func facts() approver.Facts {
	return approver.Facts{
		Agent: &approver.Pod{Namespace: "sluice-system", Name: "sluice-agent-1", UID: "uid-agent", ServiceAccount: "sluice-agent", Node: "node1", HostNetwork: true},
		Pods:  []approver.Pod{{Namespace: "shop", Name: "cart-1", UID: "uid-cart", ServiceAccount: "cart", Node: "node1"}},
	}
}

// attempt is a try to get a certificate that one should not get, or a way to get
// one that one should.
type attempt struct {
	change  func(r *approver.Request, f *approver.Facts)
	verdict approver.Verdict
	reason  string
	message string // a part of it
}

func try(t *testing.T, attempts map[string]attempt) {
	t.Helper()
	for name, a := range attempts {
		t.Run(name, func(t *testing.T) {
			r, f := rightful(t), facts()
			if a.change != nil {
				a.change(&r, &f)
			}
			d := policy(t).Decide(r, f, now)
			if d.Verdict != a.verdict || d.Reason != a.reason || !strings.Contains(d.Message, a.message) {
				t.Errorf("%s, reason %s: %s; want %s, reason %s: %s", d.Verdict, d.Reason, d.Message, a.verdict, a.reason, a.message)
			}
			if len(d.Message) > 1000 {
				t.Errorf("the message has %d letters", len(d.Message))
			}
		})
	}
}

func TestRequester(t *testing.T) {
	extra := func(key string, values ...string) func(*approver.Request, *approver.Facts) {
		return func(r *approver.Request, _ *approver.Facts) {
			if r.Spec.Extra[key] = values; len(values) == 0 {
				delete(r.Spec.Extra, key)
			}
		}
	}
	user := func(name string) func(*approver.Request, *approver.Facts) {
		return func(r *approver.Request, _ *approver.Facts) { r.Spec.Username = name }
	}
	try(t, map[string]attempt{
		"an agent":                         {nil, approver.Approve, approver.ReasonRunsHere, "pod shop/cart-1 runs on node node1"},
		"nobody":                           {user(""), approver.Deny, approver.ReasonRequester, ""},
		"an administrator":                 {user("admin"), approver.Deny, approver.ReasonRequester, "admin"},
		"another service account":          {user("system:serviceaccount:sluice-system:sluice-envoy"), approver.Deny, approver.ReasonRequester, ""},
		"one of that name elsewhere":       {user("system:serviceaccount:default:sluice-agent"), approver.Deny, approver.ReasonRequester, ""},
		"a name that starts like it":       {user(agentName + "2"), approver.Deny, approver.ReasonRequester, ""},
		"a name with a space":              {user(agentName + " "), approver.Deny, approver.ReasonRequester, ""},
		"a node":                           {user("system:node:node1"), approver.Deny, approver.ReasonRequester, ""},
		"a token that is bound to nothing": {func(r *approver.Request, _ *approver.Facts) { r.Spec.Extra = nil }, approver.Deny, approver.ReasonNode, "not bound to one pod"},
		"no node":                          {extra(extraNode), approver.Deny, approver.ReasonNode, extraNode},
		"no pod":                           {extra(extraPod), approver.Deny, approver.ReasonNode, extraPod},
		"no pod's uid":                     {extra(extraUID), approver.Deny, approver.ReasonNode, extraUID},
		"two nodes":                        {extra(extraNode, "node1", "node2"), approver.Deny, approver.ReasonNode, "2 values"},
		"an empty node":                    {extra(extraNode, ""), approver.Deny, approver.ReasonNode, ""},
		"another node than its pod's":      {extra(extraNode, "node2"), approver.Deny, approver.ReasonAgentGone, "not on node"},
		"another pod's name":               {extra(extraPod, "sluice-agent-2"), approver.Deny, approver.ReasonAgentGone, "is gone"},
		"another pod's uid":                {extra(extraUID, "uid-2"), approver.Deny, approver.ReasonAgentGone, "is gone"},
		"an agent that is gone":            {func(_ *approver.Request, f *approver.Facts) { f.Agent = nil }, approver.Deny, approver.ReasonAgentGone, "is gone"},
		"an agent that has finished":       {func(_ *approver.Request, f *approver.Facts) { f.Agent.Finished = true }, approver.Deny, approver.ReasonAgentGone, "has finished"},
		"a pod that is no agent":           {func(_ *approver.Request, f *approver.Facts) { f.Agent.ServiceAccount = "default" }, approver.Deny, approver.ReasonAgentGone, "is no agent"},
		"an agent's pod elsewhere":         {func(_ *approver.Request, f *approver.Facts) { f.Agent.Namespace = "shop" }, approver.Deny, approver.ReasonAgentGone, "is gone"},
		"an agent that is being replaced":  {func(_ *approver.Request, f *approver.Facts) { f.Agent.End = now.Add(-time.Hour) }, approver.Approve, approver.ReasonRunsHere, ""},
	})
}

func TestPods(t *testing.T) {
	pod := func(change func(*approver.Pod)) func(*approver.Request, *approver.Facts) {
		return func(_ *approver.Request, f *approver.Facts) { change(&f.Pods[0]) }
	}
	try(t, map[string]attempt{
		"none":                     {func(_ *approver.Request, f *approver.Facts) { f.Pods = nil }, approver.Deny, approver.ReasonNoPod, "no pod of service account shop/cart"},
		"on another node":          {pod(func(p *approver.Pod) { p.Node = "node2" }), approver.Deny, approver.ReasonNoPod, "cart-1 is on another node"},
		"on no node yet":           {pod(func(p *approver.Pod) { p.Node = "" }), approver.Deny, approver.ReasonNoPod, ""},
		"of another account":       {pod(func(p *approver.Pod) { p.ServiceAccount = "till" }), approver.Deny, approver.ReasonNoPod, "another service account"},
		"of no account":            {pod(func(p *approver.Pod) { p.ServiceAccount = "" }), approver.Deny, approver.ReasonNoPod, ""},
		"in another namespace":     {pod(func(p *approver.Pod) { p.Namespace = "shop2" }), approver.Deny, approver.ReasonNoPod, ""},
		"finished":                 {pod(func(p *approver.Pod) { p.Finished = true }), approver.Deny, approver.ReasonNoPod, "cart-1 has finished"},
		"on the host's network":    {pod(func(p *approver.Pod) { p.HostNetwork = true }), approver.Deny, approver.ReasonNoPod, "host's network"},
		"in its grace":             {pod(func(p *approver.Pod) { p.End = now.Add(time.Minute) }), approver.Approve, approver.ReasonRunsHere, ""},
		"a moment after its grace": {pod(func(p *approver.Pod) { p.End = now.Add(-30 * time.Second) }), approver.Approve, approver.ReasonRunsHere, ""},
		"long after its grace":     {pod(func(p *approver.Pod) { p.End = now.Add(-2 * time.Minute) }), approver.Deny, approver.ReasonNoPod, "should be gone"},
		"one of several": {func(_ *approver.Request, f *approver.Facts) {
			good := f.Pods[0]
			f.Pods[0].Finished = true
			f.Pods = append(f.Pods, good)
		}, approver.Approve, approver.ReasonRunsHere, ""},
		"hundreds of them, none good": {func(_ *approver.Request, f *approver.Facts) {
			f.Pods[0].Finished = true
			for range 300 {
				f.Pods = append(f.Pods, f.Pods[0])
			}
		}, approver.Deny, approver.ReasonNoPod, ""},
	})
}

func TestTerms(t *testing.T) {
	spec := func(change func(*certmanager.Spec)) func(*approver.Request, *approver.Facts) {
		return func(r *approver.Request, _ *approver.Facts) { change(&r.Spec) }
	}
	duration := func(d time.Duration) func(*certmanager.Spec) {
		return func(s *certmanager.Spec) { s.Duration = &metav1.Duration{Duration: d} }
	}
	usages := func(all ...string) func(*certmanager.Spec) { return func(s *certmanager.Spec) { s.Usages = all } }
	annotated := func(key string) func(*approver.Request, *approver.Facts) {
		return func(r *approver.Request, _ *approver.Facts) { r.Annotations[key] = "x" }
	}
	try(t, map[string]attempt{
		"an authority":            {spec(func(s *certmanager.Spec) { s.IsCA = true }), approver.Deny, approver.ReasonCA, ""},
		"a day and a second":      {spec(duration(24*time.Hour + time.Second)), approver.Deny, approver.ReasonDuration, "at most 24h"},
		"a shorter life":          {spec(duration(time.Hour)), approver.Approve, approver.ReasonRunsHere, ""},
		"no duration":             {spec(func(s *certmanager.Spec) { s.Duration = nil }), approver.Deny, approver.ReasonDuration, "no duration"},
		"a duration of zero":      {spec(duration(0)), approver.Deny, approver.ReasonDuration, ""},
		"a negative duration":     {spec(duration(-time.Hour)), approver.Deny, approver.ReasonDuration, ""},
		"no usages":               {spec(usages()), approver.Deny, approver.ReasonUsages, ""},
		"without client auth":     {spec(usages("digital signature", "server auth")), approver.Deny, approver.ReasonUsages, ""},
		"cert sign, too":          {spec(usages("digital signature", "server auth", "client auth", "cert sign")), approver.Deny, approver.ReasonUsages, "cert sign"},
		"any":                     {spec(usages("any")), approver.Deny, approver.ReasonUsages, ""},
		"one of them twice":       {spec(usages("digital signature", "server auth", "server auth")), approver.Deny, approver.ReasonUsages, ""},
		"a field unknown here":    {func(r *approver.Request, _ *approver.Facts) { r.Unknown = errors.New(`unknown field "literalSubject"`) }, approver.Deny, approver.ReasonUnknownField, "literalSubject"},
		"an issuer's annotation":  {annotated("venafi.cert-manager.io/custom-fields"), approver.Deny, approver.ReasonAnnotation, "custom-fields"},
		"a self-signing key":      {annotated("cert-manager.io/private-key-secret-name"), approver.Deny, approver.ReasonAnnotation, ""},
		"an annotation like ours": {annotated("sluice.io.example.com/x"), approver.Deny, approver.ReasonAnnotation, ""},
		"an annotation of ours":   {annotated("sluice.io/note"), approver.Approve, approver.ReasonRunsHere, ""},
	})
	r := rightful(t)
	r.Annotations["example.com/owner"] = "x"
	p := policy(t)
	if d := p.Decide(r, facts(), now); d.Verdict != approver.Deny {
		t.Errorf("an annotation that nobody allowed: %+v", d)
	}
	p.Annotations = []string{"example.com/owner"}
	if d := p.Decide(r, facts(), now); d.Verdict != approver.Approve {
		t.Errorf("an annotation that was allowed: %+v", d)
	}
}

func TestRequests(t *testing.T) {
	content := func(text []byte) func(*approver.Request, *approver.Facts) {
		return func(r *approver.Request, _ *approver.Facts) { r.Spec.Request = text }
	}
	name := func(names ...string) func(*approver.Request, *approver.Facts) { return content(oddName(t, names...)) }
	own := []*url.URL{identitytest.ID(t, "shop", "cart").URL()}
	elsewhere, err := identity.ParseTrustDomain("example.com")
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := identity.New(elsewhere, "shop", "cart")
	if err != nil {
		t.Fatal(err)
	}
	const cart = "spiffe://cluster.local/ns/shop/sa/cart"
	deny := func(change func(*approver.Request, *approver.Facts), message string) attempt {
		return attempt{change, approver.Deny, approver.ReasonRequest, message}
	}
	try(t, map[string]attempt{
		"another account's identity":    {content(pem(t, identitytest.ID(t, "shop", "till"))), approver.Deny, approver.ReasonNoPod, "shop/till"},
		"another namespace's identity":  {content(pem(t, identitytest.ID(t, "shop2", "cart"))), approver.Deny, approver.ReasonNoPod, "shop2/cart"},
		"another trust domain's":        {content(pem(t, foreign)), approver.Deny, approver.ReasonTrustDomain, "example.com"},
		"two identities":                deny(name(cart, "spiffe://cluster.local/ns/shop/sa/till"), "2 URIs"),
		"its own identity twice":        deny(name(cart, cart), "2 URIs"),
		"none":                          deny(content(odd(t, &x509.CertificateRequest{})), "0 URIs"),
		"a DNS name, too":               deny(content(odd(t, &x509.CertificateRequest{URIs: own, DNSNames: []string{"kubernetes.default"}})), "DNS name"),
		"another identity as the name":  deny(content(odd(t, &x509.CertificateRequest{URIs: own, Subject: pkix.Name{CommonName: "spiffe://cluster.local/ns/shop/sa/till"}})), "subject"),
		"a cluster administrator":       deny(content(odd(t, &x509.CertificateRequest{URIs: own, Subject: pkix.Name{Organization: []string{"system:masters"}}})), "subject"),
		"an encoded dot":                deny(name(cart+"%2e"), ""),
		"an encoded identity":           deny(name("spiffe://cluster.local/ns/shop/sa/%63art"), ""),
		"an encoded slash":              deny(name("spiffe://cluster.local/ns/shop/sa%2fcart"), ""),
		"an upper-case trust domain":    deny(name("spiffe://CLUSTER.LOCAL/ns/shop/sa/cart"), ""),
		"an upper-case scheme":          deny(name("SPIFFE://cluster.local/ns/shop/sa/cart"), ""),
		"a trailing slash":              deny(name(cart+"/"), ""),
		"a trailing dot":                deny(name("spiffe://cluster.local/ns/shop/sa/cart."), ""),
		"dots in between":               deny(name("spiffe://cluster.local/ns/x/../shop/sa/cart"), ""),
		"an empty fragment":             deny(name(cart+"#"), ""),
		"the trust domain itself":       deny(name("spiffe://cluster.local"), ""),
		"no SPIFFE ID":                  deny(name("https://cluster.local/ns/shop/sa/cart"), ""),
		"a giant":                       deny(content([]byte(strings.Repeat("A", 1<<20))), "none has more than"),
		"a request in a request":        deny(content(append(pem(t, identitytest.ID(t, "shop", "cart")), pem(t, identitytest.ID(t, "shop", "till"))...)), "one PEM block"),
		"no PEM":                        deny(content([]byte("x")), "not PEM"),
		"nothing":                       deny(content(nil), "not PEM"),
		"an authority by its extension": deny(content(odd(t, &x509.CertificateRequest{URIs: own, ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Value: []byte{0x30, 3, 1, 1, 0xff}}}})), "extension"),
	})
}

// TestOthersAreLeftAlone: what is not ours is neither approved nor denied, however
// bad it is.
func TestOthersAreLeftAlone(t *testing.T) {
	issuer := func(ref certmanager.IssuerRef) func(*approver.Request, *approver.Facts) {
		return func(r *approver.Request, _ *approver.Facts) {
			r.Spec.IssuerRef, r.Spec.IsCA, r.Spec.Username = ref, true, "somebody"
		}
	}
	decided := func(kind string) func(*approver.Request, *approver.Facts) {
		return func(r *approver.Request, _ *approver.Facts) {
			r.Status.Conditions = []certmanager.Condition{{Type: kind, Status: "True", Reason: "somebody"}}
			r.Spec.IsCA = true
		}
	}
	left := func(change func(*approver.Request, *approver.Facts), message string) attempt {
		return attempt{change, approver.LeaveAlone, "", message}
	}
	try(t, map[string]attempt{
		"another issuer":              left(issuer(certmanager.IssuerRef{Name: "other"}), "issuer"),
		"a ClusterIssuer of the name": left(issuer(certmanager.IssuerRef{Name: "mesh", Kind: "ClusterIssuer"}), "issuer"),
		"another group's issuer":      left(issuer(certmanager.IssuerRef{Name: "mesh", Group: "example.com"}), "issuer"),
		"another namespace": left(func(r *approver.Request, _ *approver.Facts) {
			r.Namespace, r.Spec.Username = "default", "somebody"
		}, "namespace"),
		"approved already": left(decided(certmanager.Approved), "decided"),
		"denied already":   left(decided(certmanager.Denied), "decided"),
		"being removed": left(func(r *approver.Request, _ *approver.Facts) {
			at := metav1.NewTime(now)
			r.DeletionTimestamp = &at
		}, "removed"),
	})
	// What is taken for granted of an issuer is the same issuer.
	r := rightful(t)
	r.Spec.IssuerRef = certmanager.IssuerRef{Name: "mesh"}
	if d := policy(t).Decide(r, facts(), now); d.Verdict != approver.Approve {
		t.Errorf("an issuer of which only the name is said: %+v", d)
	}
}

// TestReplay: a request that was overheard and is made again from another node is
// decided by who makes it there; from the same node it is worth nothing without
// the key.
func TestReplay(t *testing.T) {
	overheard := rightful(t).Spec.Request
	thief := rightful(t)
	thief.Spec.Request = overheard
	thief.Spec.Extra = map[string][]string{extraNode: {"node2"}, extraPod: {"sluice-agent-2"}, extraUID: {"uid-2"}}
	f := facts()
	f.Agent = &approver.Pod{Namespace: "sluice-system", Name: "sluice-agent-2", UID: "uid-2", ServiceAccount: "sluice-agent", Node: "node2"}
	q, d := policy(t).Examine(thief)
	if q == nil || q.Node != "node2" || q.Identity.String() != "spiffe://cluster.local/ns/shop/sa/cart" {
		t.Fatalf("%+v, %+v: want to look for pods on the thief's node", q, d)
	}
	if d := policy(t).Decide(thief, f, now); d.Verdict != approver.Deny || d.Reason != approver.ReasonNoPod {
		t.Errorf("%+v", d)
	}
}

// TestEveryFactCounts: whatever part of a rightful request is missing, it is not
// approved. Nothing is approved for want of a reason against it.
func TestEveryFactCounts(t *testing.T) {
	p := policy(t)
	empty := approver.Request{CertificateRequest: &certmanager.CertificateRequest{}}
	for _, f := range []approver.Facts{{}, facts()} {
		if d := p.Decide(empty, f, now); d.Verdict == approver.Approve {
			t.Errorf("an empty request is approved: %+v", d)
		}
	}
	if d := p.Decide(rightful(t), approver.Facts{}, now); d.Verdict != approver.Deny {
		t.Errorf("approved without facts: %+v", d)
	}
	if d := (approver.Policy{}).Decide(empty, approver.Facts{Agent: &approver.Pod{}, Pods: []approver.Pod{{}}}, now); d.Verdict == approver.Approve {
		t.Errorf("approved by an empty policy: %+v", d)
	}
}

// FuzzDecide: what is approved is exactly what may be, whatever is in the request.
func FuzzDecide(f *testing.F) {
	f.Add(pem(f, identitytest.ID(f, "shop", "cart")), agentName, "node1", int64(time.Hour))
	f.Add(pem(f, identitytest.ID(f, "shop", "till")), "x", "node2", int64(0))
	f.Fuzz(func(t *testing.T, text []byte, user, node string, duration int64) {
		r := rightful(t)
		r.Spec.Request, r.Spec.Username, r.Spec.Duration = text, user, &metav1.Duration{Duration: time.Duration(duration)}
		r.Spec.Extra[extraNode] = []string{node}
		d := policy(t).Decide(r, facts(), now)
		if d.Verdict != approver.Approve {
			return
		}
		der, err := identity.RequestFromPEM(text)
		if err != nil {
			t.Fatal(err)
		}
		csr, err := x509.ParseCertificateRequest(der)
		if err != nil || user != agentName || node != "node1" || duration <= 0 || time.Duration(duration) > 24*time.Hour {
			t.Fatalf("approved for %s on %s for %d: %v", user, node, duration, err)
		}
		if _, ok := csr.PublicKey.(*ecdsa.PublicKey); !ok || len(csr.URIs) != 1 || csr.URIs[0].String() != "spiffe://cluster.local/ns/shop/sa/cart" || len(csr.DNSNames) > 0 {
			t.Fatalf("approved: %+v", csr)
		}
	})
}
