package identity

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"
)

// maxChain bounds what an issuer may return: peers get it with every handshake.
const maxChain = 8

// expectation is what an issued certificate has to be.
type expectation struct {
	id     ID
	key    *ecdsa.PublicKey
	bundle *Bundle
	now    time.Time
	// lifetime is what was asked for, and skew how far the issuer's clock may be ahead.
	lifetime, skew time.Duration
}

// errUntrusted is in errors about chains that lead to no authority of the bundle.
var errUntrusted = errors.New("the issuer's chain does not lead to the trust bundle")

// check tells whether a chain, the leaf first, is what was asked for. It returns
// the authorities that it leads to.
func (e expectation) check(chain []*x509.Certificate) ([]Fingerprint, error) {
	if len(chain) == 0 || len(chain) > maxChain {
		return nil, fmt.Errorf("the issuer returned %d certificates: want 1 to %d", len(chain), maxChain)
	}
	leaf := chain[0]
	if err := e.checkLeaf(leaf); err != nil {
		return nil, err
	}
	if err := e.checkTimes(leaf); err != nil {
		return nil, err
	}
	// A moment in which the certificate counts, if only just by the issuer's clock.
	at := e.now
	if at.Before(leaf.NotBefore) {
		at = leaf.NotBefore
	}
	return e.bundle.verify(chain, at)
}

// checkLeaf tells whether the certificate says what was asked for, and no more.
func (e expectation) checkLeaf(leaf *x509.Certificate) error {
	key, ok := leaf.PublicKey.(*ecdsa.PublicKey)
	switch {
	case !ok || !key.Equal(e.key):
		return errors.New("the issuer returned a certificate of another key than the one that was sent")
	case len(leaf.DNSNames)+len(leaf.IPAddresses)+len(leaf.EmailAddresses) > 0:
		return errors.New("the issuer added names to the certificate: it may hold the SPIFFE ID only; look at the issuer's configuration")
	case len(leaf.URIs) != 1 || altNames(leaf) != 1:
		return fmt.Errorf("the issuer returned a certificate with %d URIs and %d alternative names: want one, the SPIFFE ID; does the issuer keep URI names of requests?", len(leaf.URIs), altNames(leaf))
	case leaf.URIs[0].String() != e.id.String():
		return fmt.Errorf("the issuer returned a certificate for %q, not for %q", clip(leaf.URIs[0].String()), e.id)
	case leaf.IsCA || leaf.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0:
		return errors.New("the issuer returned a certificate that can sign others")
	case leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return errors.New("the issuer returned a certificate without the key usage digital signature, which TLS needs")
	}
	return checkUsages(leaf)
}

// checkUsages wants both ends of TLS, said expressly: a certificate without any
// extended usage is good for everything.
func checkUsages(leaf *x509.Certificate) error {
	want := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, u := range want {
		if !slices.Contains(leaf.ExtKeyUsage, u) {
			return errors.New("the issuer returned a certificate that is not for both server and client authentication")
		}
	}
	if len(leaf.ExtKeyUsage) > len(want) || len(leaf.UnknownExtKeyUsage) > 0 {
		return errors.New("the issuer added usages to the certificate: it may be for server and client authentication only")
	}
	return nil
}

// checkTimes holds the certificate's validity against what was asked for.
func (e expectation) checkTimes(leaf *x509.Certificate) error {
	const form = time.RFC3339
	from, to, now := leaf.NotBefore.UTC().Format(form), leaf.NotAfter.UTC().Format(form), e.now.UTC().Format(form)
	switch {
	case leaf.NotBefore.After(e.now.Add(e.skew)):
		return fmt.Errorf("the certificate is valid from %s only, and here it is %s: compare this node's clock with the issuer's", from, now)
	case !leaf.NotAfter.After(e.now):
		return fmt.Errorf("the certificate was valid until %s, and here it is %s: compare this node's clock with the issuer's", to, now)
	case leaf.NotAfter.After(e.now.Add(e.lifetime + e.skew)):
		return fmt.Errorf("the certificate is valid until %s, longer than the %s that were asked for: does the issuer heed a request's duration?", to, e.lifetime)
	}
	return nil
}

// verify finds the authorities of the bundle that a chain leads to, for both ends
// of TLS, at a time.
func (b *Bundle) verify(chain []*x509.Certificate, at time.Time) ([]Fingerprint, error) {
	if b == nil {
		return nil, fmt.Errorf("%w: there is no trust bundle yet", errUntrusted)
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	var found []Fingerprint
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		ways, err := chain[0].Verify(x509.VerifyOptions{
			Roots: b.pool, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{usage},
		})
		if err != nil {
			return nil, fmt.Errorf("%w: %w; if the issuer has a new authority, add its root to the bundle first", errUntrusted, err)
		}
		for _, w := range ways {
			found = append(found, FingerprintOf(w[len(w)-1]))
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// altNames counts the alternative names of a certificate, of whatever kind: the
// parsed fields leave some kinds out.
func altNames(c *x509.Certificate) int {
	for _, e := range c.Extensions {
		if !e.Id.Equal(oidAltName) {
			continue
		}
		var names []asn1.RawValue
		if rest, err := asn1.Unmarshal(e.Value, &names); err != nil || len(rest) > 0 {
			return 0
		}
		return len(names)
	}
	return 0
}

// withoutRoots leaves authorities of the bundle out of a chain: peers have them.
func (b *Bundle) withoutRoots(chain []*x509.Certificate) []*x509.Certificate {
	return slices.DeleteFunc(slices.Clone(chain), func(c *x509.Certificate) bool {
		_, ok := b.Has(FingerprintOf(c))
		return ok
	})
}
