package credential_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"sluice.io/sluice/resolve/credential"
)

func TestKeyPair(t *testing.T) {
	p256, p224 := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P224())
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		crt, key []byte
		want     string // what the error says; empty for none
	}{
		"good":               {crt: certificate(t, p256), key: keyPEM(t, p256)},
		"text around it":     {crt: append([]byte("issued by nobody\n"), certificate(t, p256)...), key: keyPEM(t, p256)},
		"no certificate":     {key: keyPEM(t, p256), want: "no tls.crt"},
		"no key":             {crt: certificate(t, p256), want: "no tls.key"},
		"not PEM":            {crt: []byte("Hello world"), key: []byte("Hello world"), want: "no certificate with its key"},
		"another's key":      {crt: certificate(t, p256), key: keyPEM(t, ecKey(t, elliptic.P256())), want: "does not match"},
		"small RSA key":      {crt: certificate(t, small), key: keyPEM(t, small), want: "1024 bits"},
		"curve Envoy lacks":  {crt: certificate(t, p224), key: keyPEM(t, p224), want: "P-224"},
		"key type it lacks":  {crt: certificate(t, ed), key: keyPEM(t, ed), want: "Ed25519"},
		"key in certificate": {crt: append(certificate(t, p256), keyPEM(t, p256)...), key: keyPEM(t, p256)},
	} {
		t.Run(name, func(t *testing.T) {
			crt, key, err := credential.KeyPair(map[string][]byte{"tls.crt": c.crt, "tls.key": c.key})
			switch {
			case c.want == "" && err != nil:
				t.Fatal(err)
			case c.want == "":
				if bytes.Contains(crt, []byte("PRIVATE")) || !bytes.HasPrefix(crt, []byte("-----BEGIN CERTIFICATE")) || !bytes.HasPrefix(key, []byte("-----BEGIN PRIVATE KEY")) {
					t.Error("what comes out is not a certificate and a key alone")
				}
			case err == nil || !strings.Contains(err.Error(), c.want):
				t.Errorf("error %v, want one about %q", err, c.want)
			}
		})
	}
}

func TestBundle(t *testing.T) {
	cert := certificate(t, ecKey(t, elliptic.P256()))
	two, err := credential.Bundle(append(append([]byte("# roots\n"), cert...), certificate(t, ecKey(t, elliptic.P384()))...))
	if err != nil || bytes.Count(two, []byte("BEGIN CERTIFICATE")) != 2 || bytes.Contains(two, []byte("#")) {
		t.Errorf("two certificates with a comment: %v\n%s", err, two)
	}
	broken := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("no DER")})
	for name, c := range map[string]struct {
		text []byte
		want string
	}{
		"empty":       {nil, "no ca.crt"},
		"blank":       {[]byte(" \n"), "no ca.crt"},
		"not PEM":     {[]byte("Hello world"), "no PEM certificate"},
		"only a key":  {keyPEM(t, ecKey(t, elliptic.P256())), "no PEM certificate"},
		"one is none": {append(bytes.Clone(cert), broken...), "certificate 2"},
	} {
		if _, err := credential.Bundle(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one about %q", name, err, c.want)
		}
	}
}

func ecKey(t *testing.T, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func certificate(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func keyPEM(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
