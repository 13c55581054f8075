package xds_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"sluice.io/sluice/model"
)

// authority is a certificate authority of a test.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t, cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// issue is a certificate for DNS names and URIs, as PEM.
func (a *authority) issue(useRSA bool, names ...string) (cert, key []byte) {
	a.t.Helper()
	var signer crypto.Signer
	var err error
	if useRSA {
		signer, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		a.t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, n := range names {
		if u, err := url.Parse(n); err == nil && u.Scheme != "" {
			template.URIs = append(template.URIs, u)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, signer.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
}

// pair is a certificate as Go's TLS wants it.
func (a *authority) pair(names ...string) tls.Certificate {
	a.t.Helper()
	c, err := tls.X509KeyPair(a.issue(false, names...))
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

// keyPair adds a key pair to a delta.
func (a *authority) keyPair(d *model.Delta, name string, useRSA bool, names ...string) model.ObjectRef {
	ref := model.ObjectRef{Kind: "Secret", Namespace: "infra", Name: name}
	cert, key := a.issue(useRSA, names...)
	d.KeyPairs[ref] = &model.KeyPair{Ref: ref, Certificates: cert, PrivateKey: key, Origin: model.Origin{Object: ref, Rule: -1}}
	return ref
}

// bundle adds a bundle of authorities to a delta.
func bundle(d *model.Delta, name string, of ...*authority) model.ObjectRef {
	ref := model.ObjectRef{Kind: "ConfigMap", Namespace: "infra", Name: name}
	var pems [][]byte
	for _, a := range of {
		pems = append(pems, a.pem)
	}
	d.Bundles[ref] = &model.Bundle{Ref: ref, Certificates: bytes.Join(pems, nil), Origin: model.Origin{Object: ref, Rule: -1}}
	return ref
}

// spellings are the ways in which a secret could stand in a text.
func spellings(secret []byte) []string {
	lines := strings.Split(string(secret), "\n")
	return []string{lines[1], base64.StdEncoding.EncodeToString(secret)[40:80], strings.ReplaceAll(string(secret), "\n", `\n`)}
}

func insecureTLS(name string) *tls.Config {
	return &tls.Config{ServerName: name, InsecureSkipVerify: true}
}
