package ca_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice.io/sluice/identity"
	"sluice.io/sluice/identity/ca"
	"sluice.io/sluice/identity/identitytest"
)

func rotate(t *testing.T, c *ca.CA, step ca.Step, force bool) ca.Rotation {
	t.Helper()
	r, err := c.Rotate(step, force)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestRotate takes a keeper through a rotation, in the way that a node does: the
// same keeper, by the same rules, as in a cluster.
func TestRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "ca")
		c := open(t, options(t, dir))
		k, err := identity.NewKeeper(identity.Options{Authority: c})
		must(t, err)
		cart, till := identitytest.ID(t, "shop", "cart"), identitytest.ID(t, "shop", "till")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { _ = k.Run(ctx, func(identity.Change) {}); close(done) }()
		defer func() { cancel(); <-done }()

		k.Trust(bundle(t, c))
		k.Want(cart, till)
		time.Sleep(time.Hour)
		step := func(step ca.Step) ca.Rotation {
			r := rotate(t, c, step, false)
			k.Trust(bundle(t, c))
			return r
		}
		connect := func(d time.Duration) {
			t.Helper()
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(d / 40) {
				synctest.Wait()
				a := identitytest.End{SVID: k.SVID(cart), Bundle: k.Bundle()}
				b := identitytest.End{SVID: k.SVID(till), Bundle: k.Bundle()}
				if err := identitytest.Handshake(ctx, a, b); err != nil {
					t.Fatal(err)
				}
			}
		}
		old := k.SVID(cart).Roots[0]
		connect(time.Hour)
		if r := step(ca.Prepare); r.Signing != old || r.Coming == "" || r.Next != ca.Switch {
			t.Errorf("prepared: %+v", r)
		}
		if _, err := c.Rotate(ca.Switch, false); err == nil || !strings.Contains(err.Error(), "may lose connections") {
			t.Errorf("switched at once: %v", err)
		}
		connect(10 * time.Minute)
		r := step(ca.Switch)
		if r.Retiring != old || r.Signing == old || r.Next != ca.Finish {
			t.Errorf("switched: %+v", r)
		}
		if text, err := os.ReadFile(filepath.Join(dir, "authority.json")); err != nil || strings.Count(string(text), "PRIVATE KEY") != 2 { // its begin and its end
			t.Errorf("the old key is still there: %v", err)
		}
		connect(time.Hour)
		for _, s := range k.Status() {
			if s.Roots[0] != r.Signing {
				t.Errorf("%s is not renewed an hour after the switch", s.ID)
			}
		}
		if _, err := c.Rotate(ca.Finish, false); err == nil || !strings.Contains(err.Error(), "may be in use") {
			t.Errorf("finished at once: %v", err)
		}
		connect(24 * time.Hour)
		if r = step(ca.Finish); r.Retiring != "" || r.Next != ca.Prepare || len(bundle(t, c).Roots()) != 1 {
			t.Errorf("finished: %+v", r)
		}
		connect(48 * time.Hour)
	})
}

func TestStepsInOrder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	c := open(t, options(t, dir))
	refused := func(steps ...ca.Step) {
		t.Helper()
		for _, s := range steps {
			if _, err := c.Rotate(s, true); err == nil {
				t.Errorf("%s was taken out of its turn", s)
			}
		}
	}
	first, err := c.Rotation()
	must(t, err)
	refused(ca.Switch, ca.Finish, ca.Abandon, "x")
	rotate(t, c, ca.Prepare, false)
	refused(ca.Prepare, ca.Finish)
	if r := rotate(t, c, ca.Abandon, false); r != first {
		t.Errorf("abandoned: %+v, was %+v", r, first)
	}
	rotate(t, c, ca.Prepare, false)
	at := rotate(t, c, ca.Switch, true)
	refused(ca.Prepare, ca.Switch, ca.Abandon)
	// A restart in the middle changes nothing.
	must(t, c.Close())
	c = open(t, options(t, dir))
	if r, err := c.Rotation(); err != nil || !r.After.Equal(at.After) || r.Retiring != at.Retiring || r.Signing != at.Signing {
		t.Errorf("%+v, %v: want %+v", r, err, at)
	}
	if r := rotate(t, c, ca.Finish, true); r.Signing == first.Signing || r.Retiring != "" {
		t.Errorf("finished: %+v", r)
	}
}

// TestRootThatEnds: no certificate outlives its authority, and one that is over
// signs nothing.
func TestRootThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(t, filepath.Join(t.TempDir(), "ca"))
		o.RootLifetime = 30 * time.Hour
		c := open(t, o)
		id := identitytest.ID(t, "shop", "cart")
		time.Sleep(29 * time.Hour)
		r := request(t, id)
		r.Lifetime = 24 * time.Hour
		chain, err := c.Sign(t.Context(), r)
		if err != nil || time.Until(chain[0].NotAfter) > time.Hour {
			t.Errorf("valid until %v, %v: longer than its authority", chain[0].NotAfter, err)
		}
		time.Sleep(2 * time.Hour)
		if _, err := c.Sign(t.Context(), r); err == nil || !strings.Contains(err.Error(), "rotate it") {
			t.Errorf("signed after its end: %v", err)
		}
	})
}
