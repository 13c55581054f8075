package identity

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
)

const certificatePEM = "CERTIFICATE"

// maxRoots bounds a bundle: every handshake looks through it.
const maxRoots = 16

// Fingerprint names a certificate: the SHA-256 of its DER, in hexadecimal.
type Fingerprint string

// FingerprintOf names a certificate.
func FingerprintOf(c *x509.Certificate) Fingerprint {
	sum := sha256.Sum256(c.Raw)
	return Fingerprint(hex.EncodeToString(sum[:]))
}

// Short is the start of a fingerprint, for people.
func (f Fingerprint) Short() string { return string(f[:min(len(f), 16)]) }

// Root is an authority of a bundle.
type Root struct {
	Fingerprint Fingerprint
	Certificate *x509.Certificate
	// Retiring tells that nothing new is to be signed by it: what it has signed is
	// still trusted, and renewed soon.
	Retiring bool
}

// Bundle is the set of authorities that a trust domain is trusted by. It does not
// change: a rotation makes another one.
type Bundle struct {
	roots []Root // sorted
	pool  *x509.CertPool
}

// NewBundle makes a bundle of authorities. One that is among both is not
// retiring. Each must be one that everybody can verify with: a certificate that
// signs certificates, and itself.
func NewBundle(active, retiring []*x509.Certificate) (*Bundle, error) {
	b := &Bundle{pool: x509.NewCertPool()}
	seen := map[Fingerprint]bool{}
	for i, c := range slices.Concat(active, retiring) {
		f := FingerprintOf(c)
		if seen[f] {
			continue
		}
		seen[f] = true
		if err := checkRoot(c); err != nil {
			return nil, fmt.Errorf("authority %s: %w", f.Short(), err)
		}
		b.roots = append(b.roots, Root{f, c, i >= len(active)})
		b.pool.AddCert(c)
	}
	switch {
	case len(b.roots) == 0:
		return nil, errors.New("the trust bundle is empty: nobody could be trusted")
	case len(b.roots) > maxRoots:
		return nil, fmt.Errorf("the trust bundle has %d authorities: want at most %d", len(b.roots), maxRoots)
	}
	slices.SortFunc(b.roots, func(x, y Root) int { return cmp.Compare(x.Fingerprint, y.Fingerprint) })
	return b, nil
}

// checkRoot tells why a certificate is no authority.
func checkRoot(c *x509.Certificate) error {
	switch {
	case !c.BasicConstraintsValid || !c.IsCA:
		return fmt.Errorf("the certificate of %q is no authority (no CA:TRUE): put the issuer's root here, not what it has issued", clip(c.Subject.String()))
	case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		return errors.New("its key usage forbids it to sign certificates")
	}
	if err := c.CheckSignatureFrom(c); err != nil {
		return fmt.Errorf("it does not sign itself: put the root of its chain here, not an intermediate: %w", err)
	}
	return nil
}

// ParseBundle reads a bundle from two files of PEM: the authorities, and those
// that are retiring, which may be none.
func ParseBundle(active, retiring []byte) (*Bundle, error) {
	a, err := ParseCertificates(active)
	if err != nil {
		return nil, fmt.Errorf("authorities: %w", err)
	}
	r, err := ParseCertificates(retiring)
	if err != nil {
		return nil, fmt.Errorf("retiring authorities: %w", err)
	}
	return NewBundle(a, r)
}

// ParseCertificates reads certificates in PEM. Text between them is skipped;
// anything else in PEM is refused: what is no certificate doesn't belong here, a
// private key least of all.
func ParseCertificates(text []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if bytes.Contains(rest, []byte("-----BEGIN")) {
				return nil, fmt.Errorf("what follows certificate %d cannot be read as PEM", len(all))
			}
			return all, nil
		}
		if block.Type != certificatePEM {
			return nil, fmt.Errorf("there is a %q among the certificates: take it out; if it is a private key, take it for known to others", clip(block.Type))
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(all)+1, err)
		}
		all = append(all, c)
	}
}

// CertificatesToPEM writes certificates, one after the other.
func CertificatesToPEM(all ...*x509.Certificate) []byte {
	var out []byte
	for _, c := range all {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: certificatePEM, Bytes: c.Raw})...)
	}
	return out
}

// Roots are the authorities, sorted by fingerprint.
func (b *Bundle) Roots() []Root { return slices.Clone(b.roots) }

// Has finds an authority.
func (b *Bundle) Has(f Fingerprint) (Root, bool) {
	if b == nil {
		return Root{}, false
	}
	i := slices.IndexFunc(b.roots, func(r Root) bool { return r.Fingerprint == f })
	if i < 0 {
		return Root{}, false
	}
	return b.roots[i], true
}

// Equal tells whether two bundles say the same.
func (b *Bundle) Equal(other *Bundle) bool {
	if b == nil || other == nil {
		return b == other
	}
	return slices.EqualFunc(b.roots, other.roots, func(x, y Root) bool {
		return x.Fingerprint == y.Fingerprint && x.Retiring == y.Retiring
	})
}

// PEM is the whole bundle, retiring authorities too: what peers are verified by.
func (b *Bundle) PEM() []byte { return CertificatesToPEM(b.certificates(nil)...) }

// ActivePEM are the authorities that are not retiring, RetiringPEM those that
// are: what [ParseBundle] reads.
func (b *Bundle) ActivePEM() []byte {
	return CertificatesToPEM(b.certificates(func(r Root) bool { return !r.Retiring })...)
}

// RetiringPEM are the authorities that are retiring.
func (b *Bundle) RetiringPEM() []byte {
	return CertificatesToPEM(b.certificates(func(r Root) bool { return r.Retiring })...)
}

func (b *Bundle) certificates(which func(Root) bool) []*x509.Certificate {
	var all []*x509.Certificate
	for _, r := range b.roots {
		if which == nil || which(r) {
			all = append(all, r.Certificate)
		}
	}
	return all
}

// Problems tells what an operator should know of the bundle.
func (b *Bundle) Problems(now time.Time) []string {
	var all []string
	active := 0
	for _, r := range b.roots {
		switch c := r.Certificate; {
		case now.After(c.NotAfter):
			all = append(all, fmt.Sprintf("authority %s has expired at %s: nothing that it has signed is trusted", r.Fingerprint.Short(), c.NotAfter.UTC().Format(time.RFC3339)))
		case now.Before(c.NotBefore):
			all = append(all, fmt.Sprintf("authority %s is valid only from %s: is this clock right?", r.Fingerprint.Short(), c.NotBefore.UTC().Format(time.RFC3339)))
		case !r.Retiring:
			active++
		}
	}
	if active == 0 {
		all = append(all, "no authority of the bundle can sign anything new: add the issuer's root")
	}
	return all
}
