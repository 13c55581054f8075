package identity_test

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"sluice.io/sluice/identity"
	"sluice.io/sluice/identity/identitytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func request(t testing.TB, id identity.ID) identity.Request {
	t.Helper()
	der, err := identity.NewRequest(id, identitytest.NewKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return identity.Request{ID: id, DER: der, Lifetime: time.Hour}
}

// node is a keeper that runs, and what it has handed on.
type node struct {
	*identity.Keeper
	gate chan struct{} // full: changes wait

	mu      sync.Mutex
	svids   map[identity.ID]*identity.SVID
	bundle  *identity.Bundle
	changes int
}

// start runs a keeper until the test ends.
func start(t *testing.T, o identity.Options) *node {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	k, err := identity.NewKeeper(o)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{Keeper: k, gate: make(chan struct{}, 1), svids: map[identity.ID]*identity.SVID{}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx, n.take) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the keeper ended with %v", err)
		}
	})
	return n
}

func (n *node) take(c identity.Change) {
	n.gate <- struct{}{}
	<-n.gate
	n.mu.Lock()
	defer n.mu.Unlock()
	n.changes++
	if c.Bundle != nil {
		n.bundle = c.Bundle
	}
	for id, s := range c.SVIDs {
		if s == nil {
			delete(n.svids, id)
		} else {
			n.svids[id] = s
		}
	}
}

// end is what the node shows and trusts, as its Envoy knows it.
func (n *node) end(id identity.ID) identitytest.End {
	n.mu.Lock()
	defer n.mu.Unlock()
	return identitytest.End{SVID: n.svids[id], Bundle: n.bundle}
}

func (n *node) serial(id identity.ID) string {
	if s := n.end(id).SVID; s != nil {
		return s.Serial
	}
	return ""
}

func (n *node) status(t *testing.T, id identity.ID) identity.Status {
	t.Helper()
	for _, s := range n.Status() {
		if s.ID == id {
			return s
		}
	}
	t.Fatalf("nothing is known of %s", id)
	return identity.Status{}
}

// after lets time pass, and waits until nothing happens any more.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestIssueAndRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := identitytest.NewIssuer(t, "ca")
		cart, till := identitytest.ID(t, "shop", "cart"), identitytest.ID(t, "shop", "till")
		n := start(t, identity.Options{Authority: ca})
		n.Want(cart, till, cart) // two pods of one account are one identity
		after(time.Hour)
		if got := n.status(t, cart); len(ca.Asked()) != 0 || !strings.Contains(got.Waiting, "trust bundle") {
			t.Errorf("asked %d times without a bundle to check answers by; waiting for %q", len(ca.Asked()), got.Waiting)
		}
		n.Trust(identitytest.Bundle(t, []*identitytest.Issuer{ca}))
		after(0)
		if n := len(ca.Asked()); n != 2 {
			t.Fatalf("asked %d times, want once for each identity", n)
		}
		if err := identitytest.Handshake(t.Context(), n.end(cart), n.end(till)); err != nil {
			t.Fatal(err)
		}
		first, key := n.serial(cart), string(n.end(cart).SVID.KeyPEM())
		after(9 * time.Hour)
		if n.serial(cart) != first || len(ca.Asked()) != 2 {
			t.Error("renewed long before the middle of its life")
		}
		after(6 * time.Hour)
		if n.serial(cart) == first || n.serial(till) == "" || len(ca.Asked()) != 4 {
			t.Errorf("not renewed after the middle of its life; asked %d times", len(ca.Asked()))
		}
		if string(n.end(cart).SVID.KeyPEM()) == key {
			t.Error("the old key goes on under a new certificate")
		}
		after(1000 * time.Hour)
		if err := identitytest.Handshake(t.Context(), n.end(till), n.end(cart)); err != nil {
			t.Error(err)
		}
		if n := len(ca.Asked()); n < 2*70 || n > 2*110 {
			t.Errorf("asked %d times in 1016 hours for two identities of 24 hours", n)
		}
	})
}

// TestRenewalIsSpread: nodes that started at once don't renew at once.
func TestRenewalIsSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := identitytest.NewIssuer(t, "ca")
		n := start(t, identity.Options{Authority: ca})
		n.Trust(identitytest.Bundle(t, []*identitytest.Issuer{ca}))
		var ids []identity.ID
		for i := range 100 {
			ids = append(ids, identitytest.ID(t, "shop", "cart"+strings.Repeat("x", i)))
		}
		n.Want(ids...)
		after(0)
		if len(ca.Asked()) != 100 {
			t.Fatalf("asked %d times, want 100", len(ca.Asked()))
		}
		var from, to time.Time
		for _, s := range n.Status() {
			if from.IsZero() || s.Due.Before(from) {
				from = s.Due
			}
			if s.Due.After(to) {
				to = s.Due
			}
		}
		if d := to.Sub(from); d < 3*time.Hour {
			t.Errorf("100 renewals within %s", d)
		}
	})
}

// TestParallel: few requests are under way at once; new identities come before
// renewals, and renewals never take all places.
func TestParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := identitytest.NewIssuer(t, "ca")
		n := start(t, identity.Options{Authority: ca, Parallel: 4, Patience: 2 * time.Hour})
		n.Trust(identitytest.Bundle(t, []*identitytest.Issuer{ca}))
		old := make([]identity.ID, 0, 10)
		for i := range 10 {
			old = append(old, identitytest.ID(t, "old", strings.Repeat("o", i+1)))
		}
		n.Want(old...)
		after(0)

		var under, most atomic.Int32
		release := make(chan struct{})
		ca.Instead(func(ctx context.Context, r identity.Request) ([]*x509.Certificate, error) {
			most.Store(max(most.Load(), under.Add(1)))
			defer under.Add(-1)
			select {
			case <-release:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			return ca.Issue(r, nil)
		})
		after(15 * time.Hour) // all renewals are due, and hang
		if got := under.Load(); got != 3 {
			t.Errorf("%d renewals are under way at once, want 3 of 4 places", got)
		}
		fresh := identitytest.ID(t, "new", "pod")
		n.Want(append(old, fresh, identitytest.ID(t, "new", "second"))...)
		after(0)
		if got := n.status(t, fresh); got.Asked.IsZero() || under.Load() != 4 {
			t.Errorf("a new identity waits behind renewals: %+v", got)
		}
		close(release)
		after(0)
		if n.serial(fresh) == "" || most.Load() != 4 || n.Missing() != 0 {
			t.Errorf("%d at once, want 4; %d are missing", most.Load(), n.Missing())
		}
	})
}

func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := identitytest.NewIssuer(t, "ca")
		id := identitytest.ID(t, "shop", "cart")
		n := start(t, identity.Options{Authority: ca})
		n.Trust(identitytest.Bundle(t, []*identitytest.Issuer{ca}))
		ca.Instead(func(context.Context, identity.Request) ([]*x509.Certificate, error) {
			return nil, errors.New("issuer example is not ready: create its Secret")
		})
		n.Want(id)
		after(time.Hour)
		// 1, 2, 4 ... seconds, then every 5 minutes at most: an hour has some 20.
		if got := len(ca.Asked()); got < 12 || got > 40 {
			t.Errorf("asked %d times in an hour of failures", got)
		}
		if s := n.status(t, id); s.Problem != "issuer example is not ready: create its Secret" || s.Failures != len(ca.Asked()) || s.Serial != "" || s.ProblemAt.IsZero() || s.Due.IsZero() {
			t.Errorf("status %+v", s)
		}
		ca.Instead(nil)
		after(6 * time.Minute)
		first := n.serial(id)
		if s := n.status(t, id); first == "" || s.Problem != "" || s.Failures != 0 {
			t.Fatalf("status %+v after the issuer is ready", s)
		}

		// The old one serves until it expires, and no longer.
		ca.Instead(func(context.Context, identity.Request) ([]*x509.Certificate, error) {
			return nil, identity.ErrDenied
		})
		after(23 * time.Hour)
		if n.serial(id) != first || n.SVID(id) == nil {
			t.Error("a failed renewal took the old certificate away")
		}
		after(2 * time.Hour)
		if n.serial(id) != "" || n.SVID(id) != nil {
			t.Error("an expired certificate is still shown")
		}
		if s := n.status(t, id); s.Serial != "" || s.Problem != "denied" {
			t.Errorf("status %+v", s)
		}
		ca.Instead(nil)
		after(6 * time.Minute)
		if n.serial(id) == "" {
			t.Error("no certificate after the issuer came back")
		}
	})
}

// TestNewPodAfterFailures: a pod that comes after others have failed for long
// doesn't wait for what is left of their pause.
func TestNewPodAfterFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := identitytest.NewIssuer(t, "ca")
		id := identitytest.ID(t, "shop", "cart")
		n := start(t, identity.Options{Authority: ca})
		n.Trust(identitytest.Bundle(t, []*identitytest.Issuer{ca}))
		ca.Instead(func(context.Context, identity.Request) ([]*x509.Certificate, error) {
			return nil, errors.New("away")
		})
		n.Want(id)
		after(time.Hour)
		n.Want()
		ca.Instead(nil)
		after(time.Second)
		if n.serial(id) != "" {
			t.Fatal("asked for while nobody has it")
		}
		n.Want(id)
		after(0)
		if n.serial(id) == "" {
			t.Errorf("status %+v: the new pod has to wait", n.status(t, id))
		}
	})
}

// TestPatience: an issuer that never answers costs one request at a time, and the
// status says what is waited for.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := identitytest.NewIssuer(t, "ca")
		ca.Instead(func(ctx context.Context, r identity.Request) ([]*x509.Certificate, error) {
			r.Progress("approval of request x")
			<-ctx.Done()
			return nil, errors.New("waited too long for approval of request x")
		})
		id := identitytest.ID(t, "shop", "cart")
		n := start(t, identity.Options{Authority: ca})
		n.Trust(identitytest.Bundle(t, []*identitytest.Issuer{ca}))
		n.Want(id)
		after(10 * time.Minute)
		if s := n.status(t, id); s.Waiting != "approval of request x" || s.Asked.IsZero() {
			t.Errorf("status %+v", s)
		}
		after(50 * time.Minute)
		if got := len(ca.Asked()); got != 4 {
			t.Errorf("asked %d times in an hour, want every 15 minutes", got)
		}
		if s := n.status(t, id); !strings.HasPrefix(s.Problem, "waited too long") {
			t.Errorf("status %+v", s)
		}
	})
}

func TestIdentitiesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := identitytest.NewIssuer(t, "ca")
		cart, till := identitytest.ID(t, "shop", "cart"), identitytest.ID(t, "shop", "till")
		n := start(t, identity.Options{Authority: ca})
		n.Trust(identitytest.Bundle(t, []*identitytest.Issuer{ca}))
		n.Want(cart, till)
		after(0)
		serial := n.serial(cart)
		n.Want(till)
		after(4 * time.Minute)
		if n.serial(cart) != serial || n.status(t, cart).Wanted {
			t.Error("gone at once: the next pod would ask again")
		}
		n.Want(cart, till)
		after(10 * time.Minute)
		if n.serial(cart) != serial || len(ca.Asked()) != 2 {
			t.Errorf("an identity that came back was asked for again (%d times)", len(ca.Asked()))
		}
		n.Want()
		after(6 * time.Minute)
		if n.serial(cart) != "" || n.SVID(cart) != nil || len(n.Status()) != 0 {
			t.Error("a key is kept of an identity that nobody has")
		}
		after(100 * time.Hour)
		if len(ca.Asked()) != 2 {
			t.Error("an identity that nobody has is renewed")
		}
		n.Want(cart)
		after(0)
		if s := n.serial(cart); s == "" || s == serial {
			t.Errorf("serial %q, was %q: want another certificate", s, serial)
		}
	})
}

// TestHold: a renewed certificate waits for peers whose clocks are behind, while
// the old one serves; a first one doesn't, as there is nothing else.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := identitytest.NewIssuer(t, "ca")
		id := identitytest.ID(t, "shop", "cart")
		n := start(t, identity.Options{Authority: ca})
		n.Trust(identitytest.Bundle(t, []*identitytest.Issuer{ca}))
		n.Want(id)
		after(0)
		first := n.serial(id)
		for len(ca.Asked()) < 2 {
			after(time.Second)
		}
		s := n.status(t, id)
		if n.serial(id) != first || s.Next == "" || time.Until(s.NextAt) < 4*time.Minute {
			t.Fatalf("serial %s, was %s; status %+v: want the new one held back", n.serial(id), first, s)
		}
		after(4 * time.Minute)
		if n.serial(id) != first {
			t.Error("took over too early")
		}
		after(2 * time.Minute)
		if n.serial(id) != s.Next {
			t.Error("did not take over")
		}
	})
}

// TestClockOfIssuer: an issuer may be ahead a little; further than that, the
// message says which clocks to look at.
func TestClockOfIssuer(t *testing.T) {
	for name, tc := range map[string]struct {
		ahead time.Duration
		want  string
	}{
		"a minute ahead":  {time.Minute, ""},
		"an hour ahead":   {time.Hour, "compare this node's clock"},
		"a minute behind": {-time.Minute, ""},
		"a day behind":    {-25 * time.Hour, "compare this node's clock"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := identitytest.NewIssuer(t, "ca")
				ca.Changing(func(c *x509.Certificate) {
					c.NotBefore, c.NotAfter = c.NotBefore.Add(tc.ahead), c.NotAfter.Add(tc.ahead)
				})
				id := identitytest.ID(t, "shop", "cart")
				n := start(t, identity.Options{Authority: ca})
				n.Trust(identitytest.Bundle(t, []*identitytest.Issuer{ca}))
				n.Want(id)
				after(0)
				s := n.status(t, id)
				if (s.Problem == "") != (tc.want == "") || !strings.Contains(s.Problem, tc.want) || (s.Serial == "") != (tc.want != "") {
					t.Errorf("status %+v: want problem %q", s, tc.want)
				}
			})
		})
	}
}

// TestIssuersThatDoOtherwise: whatever an issuer makes of a request, only what was
// asked for is used.
func TestIssuersThatDoOtherwise(t *testing.T) {
	other := identitytest.ID(t, "shop", "till")
	for name, tc := range map[string]struct {
		change func(*x509.Certificate)
		want   string
	}{
		"another identity":       {func(c *x509.Certificate) { c.URIs[0] = other.URL() }, "not for"},
		"two identities":         {func(c *x509.Certificate) { c.URIs = append(c.URIs, other.URL()) }, "2 URIs"},
		"no identity":            {func(c *x509.Certificate) { c.URIs = nil }, "0 URIs"},
		"a DNS name":             {func(c *x509.Certificate) { c.DNSNames = []string{"a"} }, "added names"},
		"an IP address":          {func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(1, 2, 3, 4)} }, "added names"},
		"an authority":           {func(c *x509.Certificate) { c.IsCA = true }, "can sign others"},
		"may sign":               {func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign }, "can sign others"},
		"no digital signature":   {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }, "digital signature"},
		"for servers only":       {func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] }, "both server and client"},
		"for clients only":       {func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[1:] }, "both server and client"},
		"for everything":         {func(c *x509.Certificate) { c.ExtKeyUsage = nil }, "both server and client"},
		"for code, too":          {func(c *x509.Certificate) { c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageCodeSigning) }, "added usages"},
		"for ninety days":        {func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(90 * 24 * time.Hour) }, "heed a request's duration"},
		"a shorter life is fine": {func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(time.Hour) }, ""},
		"a common name is fine":  {func(c *x509.Certificate) { c.Subject.CommonName = "x" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := identitytest.NewIssuer(t, "ca")
				ca.Changing(tc.change)
				id := identitytest.ID(t, "shop", "cart")
				n := start(t, identity.Options{Authority: ca})
				n.Trust(identitytest.Bundle(t, []*identitytest.Issuer{ca}))
				n.Want(id)
				after(0)
				s := n.status(t, id)
				if tc.want == "" && s.Serial == "" || tc.want != "" && (s.Serial != "" || !strings.Contains(s.Problem, tc.want)) {
					t.Errorf("status %+v: want %q", s, tc.want)
				}
			})
		})
	}
}

// TestChains: what an issuer returns has to lead to the bundle, whatever else it
// holds, and to be of the key that was sent.
func TestChains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, stranger := identitytest.NewIssuer(t, "ca"), identitytest.NewIssuer(t, "stranger")
		between := ca.Intermediate(t, "between")
		id := identitytest.ID(t, "shop", "cart")
		for name, tc := range map[string]struct {
			sign func(identity.Request) ([]*x509.Certificate, error)
			want string
			len  int // of the chain that is shown
		}{
			"through an intermediate": {func(r identity.Request) ([]*x509.Certificate, error) { return between.Issue(r, nil) }, "", 2},
			"with the root": {func(r identity.Request) ([]*x509.Certificate, error) {
				chain, err := between.Issue(r, nil)
				return append(chain, ca.Root), err
			}, "", 2},
			"without the intermediate": {func(r identity.Request) ([]*x509.Certificate, error) {
				chain, err := between.Issue(r, nil)
				return chain[:1], err
			}, "does not lead to the trust bundle", 0},
			"of a stranger": {func(r identity.Request) ([]*x509.Certificate, error) { return stranger.Issue(r, nil) }, "add its root to the bundle first", 0},
			"of a stranger, with his root": {func(r identity.Request) ([]*x509.Certificate, error) {
				chain, err := stranger.Issue(r, nil)
				return append(chain, stranger.Root), err
			}, "does not lead to the trust bundle", 0},
			"of another key": {func(r identity.Request) ([]*x509.Certificate, error) { return ca.Issue(request(t, r.ID), nil) }, "another key", 0},
			"empty":          {func(identity.Request) ([]*x509.Certificate, error) { return nil, nil }, "0 certificates", 0},
			"endless": {func(r identity.Request) ([]*x509.Certificate, error) {
				chain, err := ca.Issue(r, nil)
				for range 20 {
					chain = append(chain, stranger.Root)
				}
				return chain, err
			}, "21 certificates", 0},
		} {
			ca.Instead(func(_ context.Context, r identity.Request) ([]*x509.Certificate, error) { return tc.sign(r) })
			n := start(t, identity.Options{Authority: ca})
			n.Trust(identitytest.Bundle(t, []*identitytest.Issuer{ca}))
			n.Want(id)
			after(0)
			s := n.status(t, id)
			if tc.want != "" {
				if s.Serial != "" || !strings.Contains(s.Problem, tc.want) {
					t.Errorf("%s: status %+v, want %q", name, s, tc.want)
				}
				continue
			}
			if s.Serial == "" {
				t.Errorf("%s: status %+v", name, s)
				continue
			}
			if chain, err := identity.ParseCertificates(n.end(id).SVID.ChainPEM()); err != nil || len(chain) != tc.len {
				t.Errorf("%s: peers get %d certificates, %v: want %d", name, len(chain), err, tc.len)
			}
			if err := identitytest.Handshake(t.Context(), n.end(id), n.end(id)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
