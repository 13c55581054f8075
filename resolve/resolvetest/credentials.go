package resolvetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"sluice.io/sluice/source"
)

// fillCredentials replaces the values "@certificate NAME", "@key NAME" and
// "@authority NAME" in Secrets and ConfigMaps by PEM. A certificate and a key of
// one name belong together, and the authority of that name vouches for them. They
// are made once for a process.
func fillCredentials(obj source.KubeObject) error {
	switch o := obj.(type) {
	case *corev1.Secret:
		// What the API server does with stringData.
		for k, v := range o.StringData {
			if o.Data == nil {
				o.Data = map[string][]byte{}
			}
			o.Data[k] = []byte(v)
		}
		o.StringData = nil
		for k, v := range o.Data {
			text, err := expand(string(v))
			if err != nil {
				return err
			}
			o.Data[k] = []byte(text)
		}
	case *corev1.ConfigMap:
		for k, v := range o.Data {
			text, err := expand(v)
			if err != nil {
				return err
			}
			o.Data[k] = text
		}
	}
	return nil
}

func expand(value string) (string, error) {
	kind, name, _ := strings.Cut(value, " ")
	switch kind {
	case "@certificate", "@key", "@authority":
	default:
		return value, nil
	}
	made, err := pairNamed(name)
	return made[kind], err
}

// pair maps "@certificate", "@key" and "@authority" to PEM.
type pair map[string]string

var pairs = struct {
	sync.Mutex
	byName map[string]pair
}{byName: map[string]pair{}}

func pairNamed(name string) (pair, error) {
	pairs.Lock()
	defer pairs.Unlock()
	if p := pairs.byName[name]; p != nil {
		return p, nil
	}
	p, err := newPair(name)
	if err != nil {
		return nil, fmt.Errorf("make a certificate for %q: %w", name, err)
	}
	pairs.byName[name] = p
	return p, nil
}

func newPair(name string) (pair, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name + " authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	root, err := x509.CreateCertificate(rand.Reader, template, template, &rootKey.PublicKey, rootKey)
	if err != nil {
		return nil, err
	}
	authority, err := x509.ParseCertificate(root)
	if err != nil {
		return nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	cert, err := x509.CreateCertificate(rand.Reader, leaf, authority, &key.PublicKey, rootKey)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return pair{
		"@certificate": armor("CERTIFICATE", cert), "@key": armor("PRIVATE KEY", der), "@authority": armor("CERTIFICATE", root),
	}, err
}

func armor(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
