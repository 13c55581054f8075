package identity_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"sluice.io/sluice/identity"
	"sluice.io/sluice/identity/identitytest"
)

func TestIDsAreWrittenInOneWay(t *testing.T) {
	id := identitytest.ID(t, "shop", "cart.v2")
	const text = "spiffe://cluster.local/ns/shop/sa/cart.v2"
	if id.String() != text || id.URL().String() != text {
		t.Errorf("%s and %s, want %s", id, id.URL(), text)
	}
	again, err := identity.Parse(text)
	if err != nil || again != id {
		t.Errorf("%v, %v: want the same identity", again, err)
	}
	if b, err := json.Marshal(map[identity.ID]identity.ID{id: id}); err != nil || string(b) != `{"`+text+`":"`+text+`"}` {
		t.Errorf("%s, %v", b, err)
	}
	// Whoever uses the SPIFFE library reads the same.
	if other, err := spiffeid.FromString(text); err != nil || other.URL().String() != id.URL().String() {
		t.Errorf("%v, %v", other, err)
	}
}

func TestNoIDs(t *testing.T) {
	for _, s := range []string{
		"", "cluster.local", "https://cluster.local/ns/shop/sa/cart", "SPIFFE://cluster.local/ns/shop/sa/cart",
		"spiffe://", "spiffe:///ns/shop/sa/cart", "spiffe://cluster.local", "spiffe://cluster.local/",
		"spiffe://Cluster.Local/ns/shop/sa/cart", "spiffe://cluster.local:8443/ns/shop/sa/cart", "spiffe://u@cluster.local/ns/shop/sa/cart",
		"spiffe://cluster.local/ns/shop/sa/cart/", "spiffe://cluster.local//ns/shop/sa/cart", "spiffe://cluster.local/ns//sa/cart",
		"spiffe://cluster.local/ns/shop/sa/cart?", "spiffe://cluster.local/ns/shop/sa/cart#", "spiffe://cluster.local/ns/shop/sa/cart%2e",
		"spiffe://cluster.local/ns/shop/sa/%63art", "spiffe://cluster.local/ns/shop/sa/../sa/cart", "spiffe://cluster.local/ns/./sa/cart",
		"spiffe://cluster.local/ns/shop/sa/cart/x", "spiffe://cluster.local/ns/shop", "spiffe://cluster.local/sa/cart/ns/shop",
		"spiffe://cluster.local/NS/shop/SA/cart", "spiffe://cluster.local/ns/Shop/sa/cart", "spiffe://cluster.local/ns/sh.op/sa/cart",
		"spiffe://cluster.local/ns/shop/sa/ca_rt", "spiffe://cluster.local/ns/-shop/sa/cart", "spiffe://cluster.local/ns/shop/sa/cart-",
		"spiffe://cluster.local/ns/shop/sa/ca..rt", "spiffe://cluster.local/ns/shop/sa/cart\x00", "spiffe://cluster.local/ns/shop/sa/cart ",
		" spiffe://cluster.local/ns/shop/sa/cart", "spiffe://cluster.local/ns/shop/sa/cärt",
		"spiffe://cluster.local/ns/" + strings.Repeat("a", 64) + "/sa/cart", "spiffe://cluster.local/ns/shop/sa/" + strings.Repeat("a", 254),
		"spiffe://" + strings.Repeat("a", 256) + "/ns/shop/sa/cart", "spiffe://cluster.local/ns/shop/sa/" + strings.Repeat("a", 5000),
	} {
		if id, err := identity.Parse(s); err == nil {
			t.Errorf("%q is taken for %q", s, id)
		} else if len(err.Error()) > 400 {
			t.Errorf("%q: the error has %d letters", s[:50], len(err.Error()))
		}
	}
}

func TestNoTrustDomains(t *testing.T) {
	for _, s := range []string{"", "Cluster.local", "spiffe://cluster.local", "spiffe://cluster.local/ns/a/sa/b", "a/b", "a b", "a:1", "ä", strings.Repeat("a", 256)} {
		if td, err := identity.ParseTrustDomain(s); err == nil {
			t.Errorf("%q is taken for %q", s, td)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("spiffe://cluster.local/ns/shop/sa/cart")
	f.Add("spiffe://cluster.local/ns/shop/sa/cart%2e")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := identity.Parse(s)
		if err == nil && (id.String() != s || id.URL().String() != s) {
			t.Errorf("%q is read as %q", s, id)
		}
	})
}
