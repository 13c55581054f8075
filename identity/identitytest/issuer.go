// Package identitytest has what tests of identities need: issuers that do as they
// are told, and handshakes.
package identitytest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"sync"
	"testing"
	"time"

	"sluice.io/sluice/identity"
)

// Issuer is an authority of a test's own.
type Issuer struct {
	Root *x509.Certificate
	Key  *ecdsa.PrivateKey
	// Parent, when set, has signed Root, which is then no root at all.
	Parent *Issuer

	mu      sync.Mutex
	asked   []identity.ID
	change  func(*x509.Certificate)
	instead func(context.Context, identity.Request) ([]*x509.Certificate, error)
}

// NewIssuer makes an authority that signs itself.
func NewIssuer(t testing.TB, name string) *Issuer { return newIssuer(t, name, nil) }

// Intermediate makes an authority that this one vouches for.
func (i *Issuer) Intermediate(t testing.TB, name string) *Issuer { return newIssuer(t, name, i) }

func newIssuer(t testing.TB, name string, parent *Issuer) *Issuer {
	t.Helper()
	key := NewKey(t)
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(100 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	by, signer := template, key
	if parent != nil {
		by, signer = parent.Root, parent.Key
	}
	return &Issuer{Root: Create(t, template, by, key.Public(), signer), Key: key, Parent: parent}
}

// NewKey makes a key.
func NewKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Create signs a certificate.
func Create(t testing.TB, template, parent *x509.Certificate, public any, signer *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	c, err := create(template, parent, public, signer)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func create(template, parent *x509.Certificate, public any, signer *ecdsa.PrivateKey) (*x509.Certificate, error) {
	var err error
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// Changing has certificates changed before they are signed; nil for not.
func (i *Issuer) Changing(change func(*x509.Certificate)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.change = change
}

// Instead has something else done than signing; nil for signing.
func (i *Issuer) Instead(f func(context.Context, identity.Request) ([]*x509.Certificate, error)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.instead = f
}

// Asked lists the identities that certificates were asked for, in order.
func (i *Issuer) Asked() []identity.ID {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]identity.ID(nil), i.asked...)
}

// Template is the certificate that is signed for an identity when nothing is
// changed. As cert-manager's, it is valid from now.
func Template(id identity.ID, lifetime time.Duration) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		NotBefore: now, NotAfter: now.Add(lifetime), URIs: []*url.URL{id.URL()}, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

// Sign signs.
func (i *Issuer) Sign(ctx context.Context, r identity.Request) ([]*x509.Certificate, error) {
	i.mu.Lock()
	i.asked = append(i.asked, r.ID)
	change, instead := i.change, i.instead
	i.mu.Unlock()
	if instead != nil {
		return instead(ctx, r)
	}
	return i.Issue(r, change)
}

// Issue signs, whatever was said before.
func (i *Issuer) Issue(r identity.Request, change func(*x509.Certificate)) ([]*x509.Certificate, error) {
	_, key, err := identity.ReadRequest(r.DER)
	if err != nil {
		return nil, err
	}
	t := Template(r.ID, r.Lifetime)
	if change != nil {
		change(t)
	}
	leaf, err := create(t, i.Root, key, i.Key)
	if err != nil {
		return nil, err
	}
	chain := []*x509.Certificate{leaf}
	for at := i; at.Parent != nil; at = at.Parent {
		chain = append(chain, at.Root)
	}
	return chain, nil
}

// Bundle is a trust bundle.
func Bundle(t testing.TB, active []*Issuer, retiring ...*Issuer) *identity.Bundle {
	t.Helper()
	roots := func(all []*Issuer) (out []*x509.Certificate) {
		for _, i := range all {
			out = append(out, i.Root)
		}
		return out
	}
	b, err := identity.NewBundle(roots(active), roots(retiring))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// ID is an identity of trust domain cluster.local.
func ID(t testing.TB, namespace, account string) identity.ID {
	t.Helper()
	td, err := identity.ParseTrustDomain("cluster.local")
	if err != nil {
		t.Fatal(err)
	}
	id, err := identity.New(td, namespace, account)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
