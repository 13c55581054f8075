package identity_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sluice.io/sluice/identity"
	"sluice.io/sluice/identity/identitytest"
)

// world is two nodes with an issuer each can ask, that changes.
type world struct {
	t      *testing.T
	issuer atomic.Pointer[identitytest.Issuer]
	a, b   *node
	cart   identity.ID // runs on a
	till   identity.ID // runs on b
	failed []string
}

// Sign is the issuer of the moment.
func (w *world) Sign(ctx context.Context, r identity.Request) ([]*x509.Certificate, error) {
	return w.issuer.Load().Sign(ctx, r)
}

func newWorld(t *testing.T, first *identitytest.Issuer) *world {
	w := &world{t: t, cart: identitytest.ID(t, "shop", "cart"), till: identitytest.ID(t, "shop", "till")}
	w.issuer.Store(first)
	// Everybody renews at once, which is when the order matters most.
	o := identity.Options{Authority: w, Spread: time.Second}
	w.a, w.b = start(t, o), start(t, o)
	w.a.Want(w.cart)
	w.b.Want(w.till)
	return w
}

// run lets time pass, and makes connections both ways all the time.
func (w *world) run(d time.Duration) {
	w.t.Helper()
	pause := 40 * time.Second
	if d > time.Hour {
		pause = 20 * time.Minute
	}
	for end := time.Now().Add(d); time.Now().Before(end); after(pause) {
		for _, way := range [][2]identitytest.End{
			{w.a.end(w.cart), w.b.end(w.till)}, {w.b.end(w.till), w.a.end(w.cart)},
		} {
			if err := identitytest.Handshake(w.t.Context(), way[0], way[1]); err != nil {
				w.failed = append(w.failed, fmt.Sprintf("%s: %v", time.Now().UTC().Format(time.TimeOnly), err))
			}
		}
	}
}

// trust has the bundle reach one node, and the other a while later.
func (w *world) trust(late time.Duration, b *identity.Bundle) {
	w.a.Trust(b)
	w.run(late)
	w.b.Trust(b)
	synctest.Wait()
}

func (w *world) check() {
	w.t.Helper()
	if len(w.failed) > 0 {
		w.t.Errorf("%d connections failed, the first ones: %s", len(w.failed), strings.Join(w.failed[:min(3, len(w.failed))], "\n"))
	}
}

func issuers(all ...*identitytest.Issuer) []*identitytest.Issuer { return all }

// TestRotation: from one authority to another, with the news reaching nodes at
// different times, and not one connection fails. The last parts show that the
// order matters: a test of it that could not fail would say nothing.
func TestRotation(t *testing.T) {
	const late = 2 * time.Minute
	synctest.Test(t, func(t *testing.T) {
		was, now := identitytest.NewIssuer(t, "was"), identitytest.NewIssuer(t, "now")
		w := newWorld(t, was)
		w.a.Trust(identitytest.Bundle(t, issuers(was)))
		w.b.Trust(identitytest.Bundle(t, issuers(was)))
		after(0)
		w.run(time.Hour)

		// 1. The new authority is trusted, by one node before the other.
		w.trust(late, identitytest.Bundle(t, issuers(was, now)))
		// 2. It signs, and the old one is retiring: everybody renews soon.
		w.issuer.Store(now)
		w.trust(late, identitytest.Bundle(t, issuers(now), was))
		w.run(time.Hour)
		for _, n := range []*node{w.a, w.b} {
			for _, s := range n.Status() {
				if len(s.Roots) != 1 || s.Roots[0] != identity.FingerprintOf(now.Root) {
					t.Errorf("%s is not renewed an hour after its authority is retiring: %+v", s.ID, s)
				}
			}
		}
		// 3. The old one goes.
		w.trust(late, identitytest.Bundle(t, issuers(now)))
		w.run(30 * time.Hour)
		w.check()
	})
}

// TestHastyRotation: whoever does all at once, or in the wrong order, loses
// nothing either, as long as the old authority is not dropped.
func TestHastyRotation(t *testing.T) {
	const late = 2 * time.Minute
	for name, act := range map[string]func(w *world, b *identity.Bundle, now *identitytest.Issuer){
		"issuer first": func(w *world, b *identity.Bundle, now *identitytest.Issuer) {
			w.issuer.Store(now)
			w.run(16 * time.Hour) // renewals come due: what is not trusted is not used
			if s := w.a.status(w.t, w.cart); !strings.Contains(s.Problem, "does not lead to the trust bundle") {
				w.t.Errorf("status %+v: want the reason why nothing is renewed", s)
			}
			w.trust(late, b)
		},
		"at the same time": func(w *world, b *identity.Bundle, now *identitytest.Issuer) {
			w.issuer.Store(now)
			w.trust(late, b)
		},
		"issuer forgotten for a day": func(w *world, b *identity.Bundle, now *identitytest.Issuer) {
			w.trust(late, b)
			w.run(24 * time.Hour)
			if s := w.a.status(w.t, w.cart); !strings.Contains(s.Problem, "still signs with an authority that is retiring") {
				w.t.Errorf("status %+v: want it to say that the issuer is to be switched", s)
			}
			w.issuer.Store(now)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				was, now := identitytest.NewIssuer(t, "was"), identitytest.NewIssuer(t, "now")
				for _, i := range issuers(was, now) { // as some do: then age says nothing about who knows the authority
					i.Changing(func(c *x509.Certificate) { c.NotBefore = c.NotBefore.Add(-10 * time.Minute) })
				}
				w := newWorld(t, was)
				for _, n := range []*node{w.a, w.b} {
					n.Trust(identitytest.Bundle(t, issuers(was)))
				}
				after(0)
				w.run(time.Hour)
				act(w, identitytest.Bundle(t, issuers(now), was), now)
				for range 3 {
					w.run(time.Hour)
				}
				for _, n := range []*node{w.a, w.b} {
					for _, s := range n.Status() {
						if s.Roots[0] != identity.FingerprintOf(now.Root) || s.Problem != "" {
							t.Errorf("%s is not on the new authority after three hours: %+v", s.ID, s)
						}
					}
				}
				w.trust(late, identitytest.Bundle(t, issuers(now)))
				w.run(24 * time.Hour)
				w.check()
			})
		})
	}
}

// TestRotationWithoutOverlap: connections fail, and both nodes say so and recover.
func TestRotationWithoutOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		was, now := identitytest.NewIssuer(t, "was"), identitytest.NewIssuer(t, "now")
		w := newWorld(t, was)
		for _, n := range []*node{w.a, w.b} {
			n.Trust(identitytest.Bundle(t, issuers(was)))
		}
		after(0)
		w.run(time.Hour)
		w.check()
		// Dropped while the issuer still signs with it: nothing that is returned counts.
		w.a.Trust(identitytest.Bundle(t, issuers(now)))
		w.b.Trust(identitytest.Bundle(t, issuers(now)))
		w.run(time.Minute)
		if len(w.failed) == 0 {
			t.Error("connections between certificates that nobody trusts")
		}
		if s := w.a.status(t, w.cart); !strings.Contains(s.Problem, "add its root to the bundle first") {
			t.Errorf("status %+v", s)
		}
		w.issuer.Store(now)
		w.run(6 * time.Minute)
		w.failed = nil
		w.run(24 * time.Hour)
		w.check()
	})
}

// TestRetiredIssuerIsNotPestered: an issuer that keeps signing with a retiring
// authority is asked again now and then only.
func TestRetiredIssuerIsNotPestered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		was, now := identitytest.NewIssuer(t, "was"), identitytest.NewIssuer(t, "now")
		id := identitytest.ID(t, "shop", "cart")
		n := start(t, identity.Options{Authority: was, Log: slog.New(slog.DiscardHandler)})
		n.Trust(identitytest.Bundle(t, issuers(now), was))
		n.Want(id)
		after(10 * time.Hour)
		if got := len(was.Asked()); got < 9 || got > 21 {
			t.Errorf("asked %d times in ten hours", got)
		}
		if n.serial(id) == "" {
			t.Error("a certificate of a retiring authority does not serve")
		}
	})
}

// TestBundleChangesMeanwhile: an answer that was checked, but not worked in, when
// its authority was dropped does not count.
func TestBundleChangesMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		was, now := identitytest.NewIssuer(t, "was"), identitytest.NewIssuer(t, "now")
		id := identitytest.ID(t, "shop", "cart")
		n := start(t, identity.Options{Authority: was})
		n.Trust(identitytest.Bundle(t, issuers(was)))
		sign := make(chan struct{})
		was.Instead(func(_ context.Context, r identity.Request) ([]*x509.Certificate, error) {
			<-sign
			return was.Issue(r, nil)
		})
		n.Want(id)
		after(0)
		n.gate <- struct{}{} // the keeper waits in handing on the next change
		n.Trust(identitytest.Bundle(t, issuers(was, now)))
		synctest.Wait()
		close(sign)
		synctest.Wait()
		n.Trust(identitytest.Bundle(t, issuers(now)))
		<-n.gate
		after(0)
		if s := n.status(t, id); s.Serial != "" || !strings.Contains(s.Problem, "trust bundle") {
			t.Errorf("status %+v: want none of a dropped authority", s)
		}
	})
}
