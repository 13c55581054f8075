package translate

import (
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"sluice.io/sluice/model"
)

// SecretSource tells what a secret is made from: a key pair, or bundles.
type SecretSource struct {
	Name    string
	KeyPair model.ObjectRef
	Bundles []model.ObjectRef
}

// KeyPairName is the name of the secret that holds a certificate with its key.
func KeyPairName(r model.ObjectRef) string { return "keypair/" + r.Namespace + "/" + r.Name }

func ofKeyPair(r model.ObjectRef) SecretSource {
	return SecretSource{Name: KeyPairName(r), KeyPair: r}
}

// ofBundles is the secret that holds all of some bundles: Envoy takes one for a
// place where certificates are verified.
func ofBundles(refs []model.ObjectRef) SecretSource {
	refs = slices.SortedFunc(slices.Values(refs), model.CompareRefs)
	refs = slices.Compact(refs)
	names := make([]string, len(refs))
	for i, r := range refs {
		names[i] = "bundle/" + r.Kind + "/" + r.Namespace + "/" + r.Name
	}
	return SecretSource{Name: strings.Join(names, "+"), Bundles: refs}
}

// KeyPair is the secret of a key pair.
func KeyPair(name string, k *model.KeyPair) *tlsv3.Secret {
	return &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
		CertificateChain: inline(k.Certificates), PrivateKey: inline(k.PrivateKey),
	}}}
}

// Bundle is the secret of several bundles.
func Bundle(name string, bundles []*model.Bundle) *tlsv3.Secret {
	var pem []byte
	for _, b := range bundles {
		pem = append(append(pem, b.Certificates...), '\n')
	}
	return &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_ValidationContext{
		ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: inline(pem)},
	}}
}

func inline(b []byte) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: b}}
}

func inlineString(s string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: s}}
}

// bySDS is how a secret is asked for.
func (s SecretSource) bySDS() *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{Name: s.Name, SdsConfig: ads()}
}
