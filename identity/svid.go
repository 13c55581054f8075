package identity

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"time"
)

// SVID is an identity with what proves it: a certificate chain, and the private
// key. It does not change. Nothing that prints or logs it shows the key.
type SVID struct {
	ID                  ID
	Serial              string
	NotBefore, NotAfter time.Time
	// Roots are the authorities that the chain leads to.
	Roots []Fingerprint

	chain []*x509.Certificate
	// key is a function, which nothing can look into.
	key func() []byte
}

func newSVID(id ID, chain []*x509.Certificate, roots []Fingerprint, key *ecdsa.PrivateKey) (*SVID, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	leaf := chain[0]
	return &SVID{
		ID: id, Serial: fmt.Sprintf("%x", leaf.SerialNumber), NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
		Roots: roots, chain: chain, key: func() []byte { return der },
	}, nil
}

// ChainPEM is the certificate, and those between it and the bundle.
func (s *SVID) ChainPEM() []byte { return CertificatesToPEM(s.chain...) }

// KeyPEM is the private key. It is for Envoy's memory, and nothing else.
func (s *SVID) KeyPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: s.key()})
}

// retiring tells whether all authorities that the chain leads to are retiring.
func (s *SVID) retiring(b *Bundle) bool {
	for _, f := range s.Roots {
		if r, ok := b.Has(f); ok && !r.Retiring {
			return false
		}
	}
	return true
}

// String is the identity, with which certificate.
func (s *SVID) String() string {
	if s == nil {
		return "none"
	}
	return fmt.Sprintf("%s (serial %s, until %s)", s.ID, s.Serial, s.NotAfter.UTC().Format(time.RFC3339))
}

// Format prints the same for every verb.
func (s *SVID) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// LogValue is what logs show.
func (s *SVID) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is what JSON shows.
func (s *SVID) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
