package identity_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"net/url"
	"strings"
	"testing"

	"sluice.io/sluice/identity"
	"sluice.io/sluice/identity/identitytest"
)

// standard makes a request by the standard library.
func standard(t testing.TB, template *x509.CertificateRequest, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func uris(t testing.TB, all ...string) []*url.URL {
	t.Helper()
	var out []*url.URL
	for _, s := range all {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, u)
	}
	return out
}

const cart = "spiffe://cluster.local/ns/shop/sa/cart"

func TestRequest(t *testing.T) {
	id, key := identitytest.ID(t, "shop", "cart"), identitytest.NewKey(t)
	der, err := identity.NewRequest(id, key)
	if err != nil {
		t.Fatal(err)
	}
	got, public, err := identity.ReadRequest(der)
	if err != nil || got != id || !public.Equal(key.Public()) {
		t.Errorf("%v, %v: want %s with its key", got, err, id)
	}
	// The standard library writes the same: the form is no dialect of ours.
	if got, _, err := identity.ReadRequest(standard(t, &x509.CertificateRequest{URIs: []*url.URL{id.URL()}}, key)); err != nil || got != id {
		t.Errorf("%v, %v: want what the standard library writes to be in the form", got, err)
	}
	back, err := identity.RequestFromPEM(identity.RequestToPEM(der))
	if err != nil || string(back) != string(der) {
		t.Errorf("PEM: %v", err)
	}
	longest, err := identity.New(id.TrustDomain(), strings.Repeat("n", 63), strings.Repeat("a", 253))
	if err != nil {
		t.Fatal(err)
	}
	der, err = identity.NewRequest(longest, key)
	if pem := identity.RequestToPEM(der); err != nil || len(pem) > identity.MaxRequest {
		t.Errorf("the longest request has %d bytes, %v", len(pem), err)
	}
}

// altName makes an extension of alternative names out of raw ones.
func altName(t testing.TB, critical bool, names ...asn1.RawValue) pkix.Extension {
	t.Helper()
	value, err := asn1.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: critical, Value: value}
}

func rawURI(s string) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(s)}
}

func TestRequestsThatAskForMore(t *testing.T) {
	key := identitytest.NewKey(t)
	own := uris(t, cart)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	extension := func(id asn1.ObjectIdentifier, value ...byte) []pkix.Extension {
		return []pkix.Extension{{Id: id, Value: value}}
	}
	for name, tc := range map[string]struct {
		template *x509.CertificateRequest
		key      crypto.Signer
		want     string
	}{
		"two URIs":                {&x509.CertificateRequest{URIs: uris(t, cart, "spiffe://cluster.local/ns/shop/sa/till")}, key, "2 URIs"},
		"the same URI twice":      {&x509.CertificateRequest{URIs: uris(t, cart, cart)}, key, "2 URIs"},
		"no URI":                  {&x509.CertificateRequest{}, key, "0 URIs"},
		"a DNS name":              {&x509.CertificateRequest{URIs: own, DNSNames: []string{"shop.example.com"}}, key, "DNS name"},
		"an IP address":           {&x509.CertificateRequest{URIs: own, IPAddresses: []net.IP{net.IPv4(10, 0, 0, 1)}}, key, "IP address"},
		"an email address":        {&x509.CertificateRequest{URIs: own, EmailAddresses: []string{"a@example.com"}}, key, "email address"},
		"a common name":           {&x509.CertificateRequest{URIs: own, Subject: pkix.Name{CommonName: "spiffe://cluster.local/ns/shop/sa/till"}}, key, "subject"},
		"an organization":         {&x509.CertificateRequest{URIs: own, Subject: pkix.Name{Organization: []string{"system:masters"}}}, key, "subject"},
		"an authority":            {&x509.CertificateRequest{URIs: own, ExtraExtensions: extension(asn1.ObjectIdentifier{2, 5, 29, 19}, 0x30, 0x03, 0x01, 0x01, 0xff)}, key, "extension 2.5.29.19"},
		"key usages":              {&x509.CertificateRequest{URIs: own, ExtraExtensions: extension(asn1.ObjectIdentifier{2, 5, 29, 15}, 0x03, 0x02, 0x01, 0x06)}, key, "extension 2.5.29.15"},
		"name constraints":        {&x509.CertificateRequest{URIs: own, ExtraExtensions: extension(asn1.ObjectIdentifier{2, 5, 29, 30}, 0x30, 0x00)}, key, "extension 2.5.29.30"},
		"an unknown extension":    {&x509.CertificateRequest{URIs: own, ExtraExtensions: extension(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999}, 0x05, 0x00)}, key, "extension"},
		"critical names":          {&x509.CertificateRequest{ExtraExtensions: []pkix.Extension{altName(t, true, rawURI(cart))}}, key, "more than an identity"},
		"another name beside it":  {&x509.CertificateRequest{ExtraExtensions: []pkix.Extension{altName(t, false, rawURI(cart), asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 8, Bytes: []byte{42, 3, 4}})}}, key, "more than an identity"},
		"an encoded letter":       {&x509.CertificateRequest{ExtraExtensions: []pkix.Extension{altName(t, false, rawURI("spiffe://cluster.local/ns/shop/sa/%63art"))}}, key, "SPIFFE ID"},
		"an encoded dot":          {&x509.CertificateRequest{ExtraExtensions: []pkix.Extension{altName(t, false, rawURI(cart+"%2e"))}}, key, "SPIFFE ID"},
		"an upper-case scheme":    {&x509.CertificateRequest{ExtraExtensions: []pkix.Extension{altName(t, false, rawURI("SPIFFE://cluster.local/ns/shop/sa/cart"))}}, key, "more than an identity"},
		"an upper-case domain":    {&x509.CertificateRequest{ExtraExtensions: []pkix.Extension{altName(t, false, rawURI("spiffe://Cluster.Local/ns/shop/sa/cart"))}}, key, "SPIFFE ID"},
		"an empty fragment":       {&x509.CertificateRequest{ExtraExtensions: []pkix.Extension{altName(t, false, rawURI(cart+"#"))}}, key, "more than an identity"},
		"a fragment":              {&x509.CertificateRequest{ExtraExtensions: []pkix.Extension{altName(t, false, rawURI(cart+"#x"))}}, key, "SPIFFE ID"},
		"an empty query":          {&x509.CertificateRequest{ExtraExtensions: []pkix.Extension{altName(t, false, rawURI(cart+"?"))}}, key, "SPIFFE ID"},
		"a trailing slash":        {&x509.CertificateRequest{ExtraExtensions: []pkix.Extension{altName(t, false, rawURI(cart+"/"))}}, key, "SPIFFE ID"},
		"dots":                    {&x509.CertificateRequest{ExtraExtensions: []pkix.Extension{altName(t, false, rawURI("spiffe://cluster.local/ns/shop/sa/till/../cart"))}}, key, "SPIFFE ID"},
		"a user":                  {&x509.CertificateRequest{ExtraExtensions: []pkix.Extension{altName(t, false, rawURI("spiffe://x@cluster.local/ns/shop/sa/cart"))}}, key, "SPIFFE ID"},
		"a port":                  {&x509.CertificateRequest{ExtraExtensions: []pkix.Extension{altName(t, false, rawURI("spiffe://cluster.local:1/ns/shop/sa/cart"))}}, key, "SPIFFE ID"},
		"a NUL":                   {&x509.CertificateRequest{ExtraExtensions: []pkix.Extension{altName(t, false, rawURI(cart+"\x00"))}}, key, "cannot be read"},
		"RSA":                     {&x509.CertificateRequest{URIs: own}, rsaKey, "P-256"},
		"another curve":           {&x509.CertificateRequest{URIs: own}, p384, "P-256"},
		"Ed25519":                 {&x509.CertificateRequest{URIs: own}, ed, "P-256"},
		"SHA-384":                 {&x509.CertificateRequest{URIs: own, SignatureAlgorithm: x509.ECDSAWithSHA384}, key, "SHA-256"},
		"ten thousand characters": {&x509.CertificateRequest{URIs: own, DNSNames: []string{strings.Repeat("a.", 5000) + "b"}}, key, "none has more"},
	} {
		t.Run(name, func(t *testing.T) {
			id, _, err := identity.ReadRequest(standard(t, tc.template, tc.key))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%q, %v: want an error with %q", id, err, tc.want)
			}
		})
	}
}

// resign signs what a request says anew.
func resign(t testing.TB, info []byte, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	digest := sha256.Sum256(info)
	sig, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	der, err := asn1.Marshal(struct {
		Info      asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: info}, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}, asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestRequestsThatWereTamperedWith(t *testing.T) {
	id, key, other := identitytest.ID(t, "shop", "cart"), identitytest.NewKey(t), identitytest.NewKey(t)
	der, err := identity.NewRequest(id, key)
	if err != nil {
		t.Fatal(err)
	}
	r, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	// An attribute more than the extensions: a challenge password (RFC 2985).
	var info struct {
		Version    int
		Subject    asn1.RawValue
		Key        asn1.RawValue
		Attributes []asn1.RawValue `asn1:"tag:0,set"`
	}
	if _, err := asn1.Unmarshal(r.RawTBSCertificateRequest, &info); err != nil {
		t.Fatal(err)
	}
	password, err := asn1.Marshal(struct {
		ID     asn1.ObjectIdentifier
		Values []string `asn1:"set"`
	}{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7}, []string{"x"}})
	if err != nil {
		t.Fatal(err)
	}
	info.Attributes = append(info.Attributes, asn1.RawValue{FullBytes: password})
	withPassword, err := asn1.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	twice := info
	twice.Attributes = []asn1.RawValue{info.Attributes[0], info.Attributes[0]}
	withTwo, err := asn1.Marshal(twice)
	if err != nil {
		t.Fatal(err)
	}
	renamed := []byte(strings.Replace(string(der), "sa/cart", "sa/till", 1))
	for name, bad := range map[string][]byte{
		"another identity under the signature": renamed,
		"signed by another key":                resign(t, r.RawTBSCertificateRequest, other),
		"an attribute more":                    resign(t, withPassword, key),
		"extensions twice":                     resign(t, withTwo, key),
		"something behind it":                  append(append([]byte(nil), der...), 0),
		"cut":                                  der[:len(der)-1],
		"nothing":                              nil,
	} {
		if id, _, err := identity.ReadRequest(bad); err == nil {
			t.Errorf("%s: taken for one for %s", name, id)
		}
	}
	if _, _, err := identity.ReadRequest(resign(t, r.RawTBSCertificateRequest, key)); err != nil {
		t.Errorf("signed anew by its own key: %v", err)
	}
}

func TestPEMOfTwoMinds(t *testing.T) {
	key := identitytest.NewKey(t)
	one, err := identity.NewRequest(identitytest.ID(t, "shop", "cart"), key)
	if err != nil {
		t.Fatal(err)
	}
	two, err := identity.NewRequest(identitytest.ID(t, "shop", "till"), key)
	if err != nil {
		t.Fatal(err)
	}
	good := string(identity.RequestToPEM(one))
	for name, text := range map[string]string{
		"two blocks":       good + string(identity.RequestToPEM(two)),
		"text before":      "x\n" + good,
		"text behind":      good + "x",
		"a header":         strings.Replace(good, "-----\n", "-----\nA: b\n\n", 1),
		"other line ends":  strings.ReplaceAll(good, "\n", "\r\n"),
		"another type":     strings.ReplaceAll(good, "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"),
		"no PEM":           string(one),
		"nothing":          "",
		"too much of it":   good + strings.Repeat("\n", identity.MaxRequest),
		"other line width": strings.Replace(good, "\n", "", 2),
	} {
		if _, err := identity.RequestFromPEM([]byte(text)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func FuzzReadRequest(f *testing.F) {
	key := identitytest.NewKey(f)
	der, err := identity.NewRequest(identitytest.ID(f, "shop", "cart"), key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Add(standard(f, &x509.CertificateRequest{URIs: uris(f, cart, cart), DNSNames: []string{"a"}}, key))
	f.Fuzz(func(t *testing.T, der []byte) {
		id, key, err := identity.ReadRequest(der)
		if err != nil {
			return
		}
		// What is accepted is a request for this and nothing else, to any reader.
		r, err := x509.ParseCertificateRequest(der)
		if err != nil || len(r.URIs) != 1 || r.URIs[0].String() != id.String() || len(r.Extensions) != 1 || len(r.RawSubject) != 2 || !key.Equal(r.PublicKey) {
			t.Errorf("%s was read out of %+v, %v", id, r, err)
		}
	})
}
