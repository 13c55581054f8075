package identity_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"sluice.io/sluice/identity"
	"sluice.io/sluice/identity/identitytest"
)

func TestBundle(t *testing.T) {
	a, b := identitytest.NewIssuer(t, "a"), identitytest.NewIssuer(t, "b")
	both := identitytest.Bundle(t, []*identitytest.Issuer{a, a}, a, b)
	if n := len(both.Roots()); n != 2 {
		t.Fatalf("%d authorities, want each once", n)
	}
	if r, ok := both.Has(identity.FingerprintOf(a.Root)); !ok || r.Retiring {
		t.Error("one that is among both is retiring")
	}
	if r, ok := both.Has(identity.FingerprintOf(b.Root)); !ok || !r.Retiring {
		t.Error("one is not retiring that is")
	}
	again, err := identity.ParseBundle(both.ActivePEM(), both.RetiringPEM())
	if err != nil || !again.Equal(both) {
		t.Errorf("what was written is read as another: %v", err)
	}
	if one := identitytest.Bundle(t, []*identitytest.Issuer{a}); one.Equal(both) || both.Equal(identitytest.Bundle(t, []*identitytest.Issuer{a, b})) {
		t.Error("different bundles are equal")
	}
	// The same authorities in another order are the same bundle, byte by byte: Envoy gets no news.
	x, y := identitytest.Bundle(t, []*identitytest.Issuer{a, b}), identitytest.Bundle(t, []*identitytest.Issuer{b, a})
	if !x.Equal(y) || string(x.PEM()) != string(y.PEM()) {
		t.Error("the order of authorities makes a difference")
	}
	if all, err := identity.ParseCertificates(both.PEM()); err != nil || len(all) != 2 {
		t.Errorf("peers are verified by %d authorities, %v: want the retiring one, too", len(all), err)
	}
}

func TestNoBundles(t *testing.T) {
	root := identitytest.NewIssuer(t, "root")
	between := root.Intermediate(t, "between")
	chain, err := root.Issue(request(t, identitytest.ID(t, "shop", "cart")), nil)
	if err != nil {
		t.Fatal(err)
	}
	key := identitytest.NewKey(t)
	useless := &x509.Certificate{
		Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCRLSign,
	}
	good := string(identity.CertificatesToPEM(root.Root))
	der, err := x509.MarshalPKCS8PrivateKey(root.Key)
	if err != nil {
		t.Fatal(err)
	}
	private := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	for name, tc := range map[string]struct{ text, want string }{
		"none":                     {"", "empty"},
		"only text":                {"# nothing here yet\n", "empty"},
		"a leaf":                   {string(identity.CertificatesToPEM(chain[0])), "no authority"},
		"an intermediate":          {string(identity.CertificatesToPEM(between.Root)), "does not sign itself"},
		"one that may not sign":    {string(identity.CertificatesToPEM(identitytest.Create(t, useless, useless, key.Public(), key))), "key usage"},
		"a private key":            {good + private, "PRIVATE KEY"},
		"a certificate cut off":    {good + good[:len(good)/2], "cannot be read"},
		"a certificate with holes": {good + string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Root.Raw[1:]})), "certificate 2"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := identity.ParseBundle([]byte(tc.text), nil)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("%v: want an error with %q", err, tc.want)
			}
			if strings.Contains(err.Error(), private[60:100]) {
				t.Error("the error shows the private key")
			}
		})
	}
	var many []*x509.Certificate
	for range 17 {
		many = append(many, identitytest.NewIssuer(t, "x").Root)
	}
	if _, err := identity.NewBundle(many, nil); err == nil {
		t.Error("a bundle has 17 authorities")
	}
	if _, err := identity.ParseBundle([]byte("Comment\n"+good+"\nMore\n"), nil); err != nil {
		t.Errorf("text between certificates: %v", err)
	}
}

func TestProblemsOfBundles(t *testing.T) {
	a, b := identitytest.NewIssuer(t, "a"), identitytest.NewIssuer(t, "b")
	for name, tc := range map[string]struct {
		b    *identity.Bundle
		at   time.Duration
		want string
	}{
		"all is well":     {identitytest.Bundle(t, []*identitytest.Issuer{a}, b), 0, ""},
		"expired":         {identitytest.Bundle(t, []*identitytest.Issuer{a}), 101 * 24 * time.Hour, "has expired"},
		"not yet":         {identitytest.Bundle(t, []*identitytest.Issuer{a}), -2 * time.Hour, "is this clock right"},
		"retiring only":   {identitytest.Bundle(t, nil, a), 0, "add the issuer's root"},
		"all are expired": {identitytest.Bundle(t, []*identitytest.Issuer{a}), 101 * 24 * time.Hour, "add the issuer's root"},
	} {
		t.Run(name, func(t *testing.T) {
			got := strings.Join(tc.b.Problems(time.Now().Add(tc.at)), "\n")
			if !strings.Contains(got, tc.want) || tc.want == "" && got != "" {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}
