package identity

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sluice.io/sluice/identity"
	"sluice.io/sluice/identity/identitytest"
)

// TestRotation: from one authority to another, as an operator does it, with
// connections between two nodes all the while. None fails.
func TestRotation(t *testing.T) {
	w := newWorld(t)
	w.pod(t, "shop", "cart", "cart", "node1")
	w.pod(t, "shop", "till", "till", "node2")
	was := w.fresh(t)
	w.sign(t, was)
	w.controller(t, time.Minute)
	// The same as in earnest, but faster.
	fast := identity.Options{Hold: 3 * time.Second, Spread: 5 * time.Second}
	cart, till := identitytest.ID(t, "shop", "cart"), identitytest.ID(t, "shop", "till")
	one, two := w.node(t, "node1", fast), w.node(t, "node2", fast)
	one.Want(cart)
	two.Want(till)
	served(t, one, cart)
	served(t, two, till)

	var made, failed atomic.Int64
	background(t, func(ctx context.Context) error {
		for ; ctx.Err() == nil; made.Add(1) {
			a := identitytest.End{SVID: one.SVID(cart), Bundle: one.Bundle()}
			b := identitytest.End{SVID: two.SVID(till), Bundle: two.Bundle()}
			if made.Load()%2 == 1 {
				a, b = b, a
			}
			if err := identitytest.Handshake(context.Background(), a, b); err != nil {
				if failed.Add(1) == 1 {
					t.Errorf("connection %d: %v", made.Load(), err)
				}
			}
		}
		return nil
	})

	now := identitytest.NewIssuer(t, "now")
	trusted := func(want string, active, retiring *identitytest.Issuer) {
		t.Helper()
		within(t, want, func() (bool, string) {
			for _, k := range []*identity.Keeper{one, two} {
				a, ok := k.Bundle().Has(identity.FingerprintOf(active.Root))
				r, ok2 := k.Bundle().Has(identity.FingerprintOf(was.Root))
				if !ok || a.Retiring || !ok2 || r.Retiring != (retiring == was) {
					return false, fmt.Sprint(k.Bundle().Roots())
				}
			}
			return true, ""
		})
	}
	w.trust(t, []*identitytest.Issuer{was, now})
	trusted("both to be trusted", now, nil)
	w.sign(t, now)
	w.signs(t, now)
	w.trust(t, []*identitytest.Issuer{now})
	trusted("the old one to be retiring", now, was)
	within(t, "certificates of the new authority", func() (bool, string) {
		for _, s := range slices.Concat(one.Status(), two.Status()) {
			if len(s.Roots) != 1 || s.Roots[0] != identity.FingerprintOf(now.Root) {
				return false, fmt.Sprintf("%+v", s)
			}
		}
		return true, ""
	})
	before := made.Load()
	w.trust(t, []*identitytest.Issuer{now}, was)
	within(t, "the old authority to be gone", func() (bool, string) {
		return len(one.Bundle().Roots()) == 1 && len(two.Bundle().Roots()) == 1, ""
	})
	within(t, "connections after it", func() (bool, string) { return made.Load() > before+200, "" })
	t.Logf("%d connections, %d failed", made.Load(), failed.Load())
}

// signs waits until cert-manager signs with an authority: it learns of the Secret
// a moment later.
func (w *world) signs(t *testing.T, by *identitytest.Issuer) {
	t.Helper()
	h := w.thief(t, "sluice-agent", "agent-node1")
	within(t, "cert-manager to sign with the new authority", func() (bool, string) {
		made, err := h.requests.Create(t.Context(), newTry(t, identitytest.ID(t, "shop", "cart")), metav1.CreateOptions{})
		if err != nil {
			return false, err.Error()
		}
		var chain []*x509.Certificate
		within(t, "a certificate", func() (bool, string) {
			chain, err = identity.ParseCertificates(h.read(made.GetName()).Status.Certificate)
			return len(chain) > 0, fmt.Sprint(err)
		})
		return chain[0].CheckSignatureFrom(by.Root) == nil, "it is the old one"
	})
}
