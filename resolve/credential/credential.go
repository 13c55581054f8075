// Package credential reads certificates and keys out of Secrets and ConfigMaps.
//
// It owns what makes them usable: PEM that parses, a key that belongs to its
// certificate, algorithms that Envoy takes. It must not know who refers to them,
// nor Kubernetes. Errors never hold any of the data.
package credential

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// AuthorityEntry is the key of the entry that holds authorities' certificates.
const AuthorityEntry = "ca.crt"

// The keys of the entries that hold a certificate and its key.
const (
	certificateEntry = "tls.crt"
	keyEntry         = "tls.key"
)

// KeyPair returns the certificate chain and the private key of a TLS Secret's
// data, both as PEM with nothing else in it.
func KeyPair(data map[string][]byte) (certificates, key []byte, err error) {
	for _, entry := range []string{certificateEntry, keyEntry} {
		if len(data[entry]) == 0 {
			return nil, nil, fmt.Errorf("it has no %s", entry)
		}
	}
	pair, err := tls.X509KeyPair(data[certificateEntry], data[keyEntry])
	if err != nil {
		return nil, nil, fmt.Errorf("%s and %s are no certificate with its key: %w", certificateEntry, keyEntry, err)
	}
	if err := checkKey(pair.Leaf); err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", keyEntry, err)
	}
	return encode(pair.Certificate), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// checkKey refuses keys that Envoy refuses.
func checkKey(leaf *x509.Certificate) error {
	const least = 2048
	switch key := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < least {
			return fmt.Errorf("its RSA key has %d bits, and needs %d at least", key.N.BitLen(), least)
		}
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
		default:
			return fmt.Errorf("its key is on curve %s: P-256, P-384 and P-521 are served", key.Curve.Params().Name)
		}
	default:
		return fmt.Errorf("its key is of type %s: RSA and ECDSA are served", leaf.PublicKeyAlgorithm)
	}
	return nil
}

// Bundle returns the certificates of an authority's PEM, at least one, with
// nothing else in it.
func Bundle(text []byte) ([]byte, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, fmt.Errorf("it has no %s", AuthorityEntry)
	}
	var all [][]byte
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return nil, fmt.Errorf("%s: certificate %d: %w", AuthorityEntry, len(all)+1, err)
		}
		all = append(all, block.Bytes)
	}
	if len(all) == 0 {
		return nil, errors.New(AuthorityEntry + " holds no PEM certificate")
	}
	return encode(all), nil
}

func encode(ders [][]byte) []byte {
	var out bytes.Buffer
	for _, der := range ders {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	return out.Bytes()
}
