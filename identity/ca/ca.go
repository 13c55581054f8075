// Package ca is the built-in certificate authority of standalone nodes.
//
// It owns a root with its key in one file of the state directory, signing, and
// the rotation to another root. It must not know who asks, nor what runs on the
// node: like any [identity.Authority], it signs what has the form of a request.
package ca

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sluice.io/sluice/identity"
)

// Options say how the authority works.
type Options struct {
	// Dir is the folder of its file. It is made when it is missing.
	Dir string
	// TrustDomain is what it is the authority of.
	TrustDomain identity.TrustDomain
	// Lifetime is how long certificates live at most; 24 h when zero.
	Lifetime time.Duration
	// RootLifetime is how long a new root lives; ten years when zero.
	RootLifetime time.Duration
	// Settle is how long a new root is known before anything is signed by it;
	// 5 min when zero.
	Settle time.Duration
}

// backdate is how long before now certificates count, for peers whose clocks are
// behind.
const backdate = 5 * time.Minute

const (
	defaultLifetime     = 24 * time.Hour
	defaultRootLifetime = 10 * 365 * 24 * time.Hour
	defaultSettle       = 5 * time.Minute
)

// CA is the authority. It holds its file's lock, so that nobody else signs or
// rotates meanwhile.
type CA struct {
	opts Options
	lock *os.File

	mu    sync.Mutex
	state state
}

// Open reads the authority of a folder, and makes one where there is none.
func Open(o Options) (*CA, error) {
	if o.TrustDomain.IsZero() || o.Dir == "" {
		return nil, errors.New("an authority needs a folder and a trust domain")
	}
	for v, otherwise := range map[*time.Duration]time.Duration{
		&o.Lifetime: defaultLifetime, &o.RootLifetime: defaultRootLifetime, &o.Settle: defaultSettle,
	} {
		if *v == 0 {
			*v = otherwise
		}
	}
	if err := prepareDir(o.Dir); err != nil {
		return nil, err
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	c := &CA{opts: o, lock: lock}
	if err := c.load(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return c, nil
}

// load reads the file, or makes it.
func (c *CA) load() error {
	path := c.path()
	if err := sweep(c.opts.Dir); err != nil {
		return fmt.Errorf("tidy the authority's folder: %w", err)
	}
	s, err := readState(path)
	if errors.Is(err, os.ErrNotExist) {
		first, err := c.newRoot()
		if err != nil {
			return fmt.Errorf("make the authority: %w", err)
		}
		first.Role = signing
		s = state{TrustDomain: c.opts.TrustDomain.Name(), Roots: []root{first}}
		if err := writeState(path, s); err != nil {
			return fmt.Errorf("keep the new authority: %w", err)
		}
	} else if err != nil {
		return fmt.Errorf("read the authority: %w", err)
	}
	if s.TrustDomain != c.opts.TrustDomain.Name() {
		return fmt.Errorf("%s holds the authority of trust domain %q, not of %q: set the trust domain back, or move the file away to start anew, with nobody trusting what was signed before", path, s.TrustDomain, c.opts.TrustDomain)
	}
	c.state = s
	return nil
}

func (c *CA) path() string { return filepath.Join(c.opts.Dir, fileName) }

// Close gives the folder up.
func (c *CA) Close() error { return c.lock.Close() }

// Bundle is what is trusted: all roots that have not been dropped.
func (c *CA) Bundle() (*identity.Bundle, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.bundle()
}

// Sign signs a request that has the form of [identity.NewRequest], for its own
// trust domain.
func (c *CA) Sign(_ context.Context, r identity.Request) ([]*x509.Certificate, error) {
	id, key, err := identity.ReadRequest(r.DER)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", identity.ErrDenied, err)
	}
	if id != r.ID || id.TrustDomain() != c.opts.TrustDomain {
		return nil, fmt.Errorf("%w: a request for %q is not one for %q in trust domain %q", identity.ErrDenied, id, r.ID, c.opts.TrustDomain)
	}
	c.mu.Lock()
	root := c.state.with(signing)
	c.mu.Unlock()
	leaf, err := c.leaf(id, key, root, r.Lifetime, time.Now())
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of %s: %w", id, err)
	}
	return []*x509.Certificate{leaf}, nil
}

// leaf makes a certificate.
func (c *CA) leaf(id identity.ID, key *ecdsa.PublicKey, root *root, lifetime time.Duration, now time.Time) (*x509.Certificate, error) {
	parent, signer, err := root.parse()
	if err != nil {
		return nil, err
	}
	if !now.Before(parent.NotAfter) {
		return nil, fmt.Errorf("the authority has expired at %s: rotate it", parent.NotAfter.UTC().Format(time.RFC3339))
	}
	if lifetime <= 0 || lifetime > c.opts.Lifetime {
		lifetime = c.opts.Lifetime
	}
	t := &x509.Certificate{
		NotBefore: now.Add(-backdate), NotAfter: now.Add(lifetime),
		URIs:     []*url.URL{id.URL()},
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if t.NotBefore.Before(parent.NotBefore) {
		t.NotBefore = parent.NotBefore
	}
	if t.NotAfter.After(parent.NotAfter) {
		t.NotAfter = parent.NotAfter
	}
	return create(t, parent, key, signer)
}

// create signs a template, with a random serial number.
func create(t, parent *x509.Certificate, key crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	var err error
	if t.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
