package ca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"time"

	"sluice.io/sluice/identity"
)

// role is what a root is there for.
type role string

const (
	signing  role = "signing"  // It signs. There is always one.
	coming   role = "coming"   // It is trusted, and will sign.
	retiring role = "retiring" // It has signed, and is trusted as long as that lives.
)

// state is the content of the file.
type state struct {
	TrustDomain string `json:"trustDomain"`
	Roots       []root `json:"roots"`
}

// root is a root with its key. One that is retiring has lost its key already.
type root struct {
	Role  role      `json:"role"`
	Since time.Time `json:"since"` // of the role
	// Certificate and Key are PEM.
	Certificate string `json:"certificate"`
	Key         string `json:"key,omitempty"`
}

// with finds the root of a role; nil when there is none.
func (s *state) with(r role) *root {
	for i := range s.Roots {
		if s.Roots[i].Role == r {
			return &s.Roots[i]
		}
	}
	return nil
}

// without is the state without the root of a role.
func (s *state) without(r role) []root {
	return slices.DeleteFunc(slices.Clone(s.Roots), func(x root) bool { return x.Role == r })
}

// bundle is what is trusted.
func (s *state) bundle() (*identity.Bundle, error) {
	var active, old []*x509.Certificate
	for i := range s.Roots {
		c, err := s.Roots[i].certificate()
		if err != nil {
			return nil, err
		}
		if s.Roots[i].Role == retiring {
			old = append(old, c)
		} else {
			active = append(active, c)
		}
	}
	return identity.NewBundle(active, old)
}

// newRoot makes a root with its key, and no role yet.
func (c *CA) newRoot() (root, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return root{}, err
	}
	now := time.Now()
	t := &x509.Certificate{
		Subject:   pkix.Name{Organization: []string{"Sluice"}, CommonName: c.opts.TrustDomain.Name() + " " + now.UTC().Format("2006-01-02T15:04:05Z")},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(c.opts.RootLifetime),
		// An authority's own SPIFFE ID is that of its trust domain.
		URIs:     []*url.URL{{Scheme: "spiffe", Host: c.opts.TrustDomain.Name()}},
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
	}
	cert, err := create(t, t, key.Public(), key)
	if err != nil {
		return root{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return root{}, err
	}
	return root{
		Since: now, Certificate: string(identity.CertificatesToPEM(cert)),
		Key: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	}, nil
}

func (r *root) certificate() (*x509.Certificate, error) {
	all, err := identity.ParseCertificates([]byte(r.Certificate))
	if err != nil {
		return nil, err
	}
	if len(all) != 1 {
		return nil, fmt.Errorf("a root has %d certificates", len(all))
	}
	return all[0], nil
}

// parse reads a root that signs.
func (r *root) parse() (*x509.Certificate, crypto.Signer, error) {
	cert, err := r.certificate()
	if err != nil {
		return nil, nil, err
	}
	block, _ := pem.Decode([]byte(r.Key))
	if block == nil {
		return nil, nil, errors.New("the private key is not PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, nil, errors.New("the private key cannot be read") // no part of it in an error
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(cert.PublicKey) {
		return nil, nil, errors.New("the private key is not that of the certificate")
	}
	return cert, key, nil
}

// decode reads a file's content, and checks that it is whole.
func decode(text []byte) (state, error) {
	var s state
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return state{}, errors.New("it is not the JSON that was written") // no part of it in an error
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return state{}, errors.New("something follows the JSON")
	}
	count := map[role]int{}
	for i := range s.Roots {
		r := &s.Roots[i]
		count[r.Role]++
		if r.Role == retiring {
			continue
		}
		if _, _, err := r.parse(); err != nil {
			return state{}, fmt.Errorf("the %s root: %w", r.Role, err)
		}
	}
	if count[signing] != 1 || count[coming] > 1 || count[retiring] > 1 || len(count) > 3 || len(s.Roots) != count[signing]+count[coming]+count[retiring] {
		return state{}, fmt.Errorf("it has %d roots that sign, %d that are coming and %d that retire: want one, and at most one of the others", count[signing], count[coming], count[retiring])
	}
	_, err := s.bundle()
	return s, err
}
