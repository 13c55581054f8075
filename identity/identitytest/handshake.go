package identitytest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"sluice.io/sluice/identity"
)

// End is one end of a connection: what it shows, and whom it trusts.
type End struct {
	SVID   *identity.SVID
	Bundle *identity.Bundle
}

// patience bounds a handshake.
const patience = 5 * time.Second

// Handshake makes a connection between two ends as Envoys do, by TLS 1.3, each
// verifying the other's chain and identity.
func Handshake(ctx context.Context, client, server End) error {
	if client.SVID == nil || server.SVID == nil {
		return errors.New("one end has no certificate")
	}
	toServer, err := client.config(server.SVID.ID, x509.ExtKeyUsageServerAuth)
	if err != nil {
		return err
	}
	toClient, err := server.config(client.SVID.ID, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return err
	}
	a, b := net.Pipe()
	// Who refuses says so while the other one may still be talking, and a pipe has
	// no room for both.
	for _, c := range []net.Conn{a, b} {
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
	}
	done := make(chan error, 1)
	go func() {
		s := tls.Server(b, toClient)
		err := s.HandshakeContext(ctx)
		if err == nil {
			_, err = s.Write([]byte{1})
		}
		done <- errors.Join(err, b.Close())
	}()
	c := tls.Client(a, toServer)
	err = c.HandshakeContext(ctx)
	if err == nil {
		// In TLS 1.3 a server refuses after the client's part of the handshake.
		_, err = c.Read(make([]byte, 1))
	}
	return errors.Join(err, a.Close(), <-done)
}

// config is how an end talks to a peer with an identity.
func (e End) config(peer identity.ID, usage x509.ExtKeyUsage) (*tls.Config, error) {
	pair, err := tls.X509KeyPair(e.SVID.ChainPEM(), e.SVID.KeyPEM())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.SVID, err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(e.Bundle.PEM())
	c := &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAnyClientCert,
		InsecureSkipVerify: true, // a SPIFFE ID is no host name: see below
	}
	c.VerifyConnection = func(s tls.ConnectionState) error {
		between := x509.NewCertPool()
		for _, x := range s.PeerCertificates[1:] {
			between.AddCert(x)
		}
		leaf := s.PeerCertificates[0]
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
			return err
		}
		if len(leaf.URIs) != 1 || leaf.URIs[0].String() != peer.String() {
			return fmt.Errorf("the peer is %v, not %s", leaf.URIs, peer)
		}
		return nil
	}
	return c, nil
}
