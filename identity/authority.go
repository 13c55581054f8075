package identity

import (
	"context"
	"crypto/x509"
	"errors"
	"time"
)

// Authority signs certificates, or knows who does.
type Authority interface {
	// Sign has a request signed, and returns the chain, the leaf first. What it
	// returns is checked by whoever asked. It may be called by several goroutines
	// at once, and returns soon after ctx is done.
	Sign(ctx context.Context, r Request) ([]*x509.Certificate, error)
}

// Request is what an authority is to sign.
type Request struct {
	ID ID
	// DER is the certificate request, made by [NewRequest].
	DER []byte
	// Lifetime is how long the certificate is to be valid.
	Lifetime time.Duration
	// Progress is told what is being waited for, in words for an operator.
	Progress func(string)
}

// ErrDenied is in errors that say that whoever decides has refused.
var ErrDenied = errors.New("denied")
