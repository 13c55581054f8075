package identity

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
)

// A certificate request has one form, which leaves nothing to say but the
// identity and the key: no subject, and one extension, the SPIFFE ID as the only
// alternative name. Whoever decides on a request, or signs it, takes it apart,
// writes it again from these two, and compares: whatever else somebody has put
// into it makes it another one.

// MaxRequest is more than the longest request takes, as PEM.
const MaxRequest = 4096

const requestPEM = "CERTIFICATE REQUEST"

var (
	oidExtensions  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 14}
	oidAltName     = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidECDSASHA256 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
)

// tagURI is the tag of a URI among the alternative names.
const tagURI = 6

// The parts of a request (RFC 2986) that ours have.
type (
	requestInfo struct {
		Version    int
		Subject    []asn1.RawValue
		Key        asn1.RawValue
		Attributes []requestAttribute `asn1:"tag:0,set"`
	}
	requestAttribute struct {
		Type   asn1.ObjectIdentifier
		Values [][]requestExtension `asn1:"set"`
	}
	requestExtension struct {
		Type  asn1.ObjectIdentifier
		Value []byte
	}
	signedRequest struct {
		Info      asn1.RawValue
		Algorithm requestAlgorithm
		Signature asn1.BitString
	}
	requestAlgorithm struct{ Type asn1.ObjectIdentifier }
)

// newKey makes a private key. The only kind that there is: ECDSA on P-256.
func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// NewRequest makes a certificate request, in DER, that asks for an identity with
// the key of the signer, ECDSA on P-256.
func NewRequest(id ID, signer crypto.Signer) ([]byte, error) {
	info, err := infoOf(id, signer.Public())
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(info)
	signature, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sign the request: %w", err)
	}
	return asn1.Marshal(signedRequest{
		Info: asn1.RawValue{FullBytes: info}, Algorithm: requestAlgorithm{oidECDSASHA256},
		Signature: asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)},
	})
}

// infoOf writes what is signed of a request.
func infoOf(id ID, key crypto.PublicKey) ([]byte, error) {
	if k, ok := key.(*ecdsa.PublicKey); !ok || k.Curve != elliptic.P256() {
		return nil, errors.New("the key is not ECDSA on P-256")
	}
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	names, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: tagURI, Bytes: []byte(id.String())}})
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(requestInfo{
		Subject: []asn1.RawValue{}, Key: asn1.RawValue{FullBytes: spki},
		Attributes: []requestAttribute{{oidExtensions, [][]requestExtension{{{oidAltName, names}}}}},
	})
}

// ReadRequest takes a certificate request in DER apart: the identity that it asks
// for, and the key, whose owner it proves to come from. Whatever is not in the
// form of [NewRequest], byte for byte, is refused.
func ReadRequest(der []byte) (ID, *ecdsa.PublicKey, error) {
	if len(der) > MaxRequest {
		return ID{}, nil, fmt.Errorf("the request has %d bytes: none has more than %d", len(der), MaxRequest)
	}
	r, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return ID{}, nil, fmt.Errorf("the request cannot be read: %w", err)
	}
	if err := onlyURI(r); err != nil {
		return ID{}, nil, err
	}
	id, err := Parse(r.URIs[0].String())
	if err != nil {
		return ID{}, nil, err
	}
	key, ok := r.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return ID{}, nil, errors.New("the key is not ECDSA on P-256")
	}
	if r.SignatureAlgorithm != x509.ECDSAWithSHA256 {
		return ID{}, nil, fmt.Errorf("the request is signed by %s: want ECDSA with SHA-256", r.SignatureAlgorithm)
	}
	if err := r.CheckSignature(); err != nil {
		return ID{}, nil, fmt.Errorf("the request is not signed by its key: %w", err)
	}
	want, err := infoOf(id, key)
	if err != nil {
		return ID{}, nil, err
	}
	if !bytes.Equal(r.RawTBSCertificateRequest, want) {
		return ID{}, nil, errors.New("the request asks for more than an identity, or is written in another way than Sluice writes it")
	}
	return id, key, nil
}

// onlyURI says what a request has beyond one URI. The comparison would find it as
// well, but not say what it is.
func onlyURI(r *x509.CertificateRequest) error {
	switch {
	case len(r.Subject.Names) > 0:
		return fmt.Errorf("the request has a subject (%q): want none", clip(r.Subject.String()))
	case len(r.DNSNames) > 0:
		return fmt.Errorf("the request has a DNS name (%q): want one URI and nothing else", clip(r.DNSNames[0]))
	case len(r.IPAddresses) > 0:
		return fmt.Errorf("the request has an IP address (%s): want one URI and nothing else", r.IPAddresses[0])
	case len(r.EmailAddresses) > 0:
		return fmt.Errorf("the request has an email address (%q): want one URI and nothing else", clip(r.EmailAddresses[0]))
	case len(r.URIs) != 1:
		return fmt.Errorf("the request has %d URIs: want one", len(r.URIs))
	}
	for _, e := range r.Extensions {
		if !e.Id.Equal(oidAltName) {
			return fmt.Errorf("the request has extension %s: want none but the alternative name", e.Id)
		}
	}
	return nil
}

// RequestToPEM writes a request as PEM.
func RequestToPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: requestPEM, Bytes: der})
}

// RequestFromPEM reads a request that [RequestToPEM] has written. Anything
// before, after or inside the block is refused: two readers might find two
// requests in it.
func RequestFromPEM(text []byte) ([]byte, error) {
	if len(text) > MaxRequest {
		return nil, fmt.Errorf("the request has %d bytes: none has more than %d", len(text), MaxRequest)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("the request is not PEM")
	}
	if !bytes.Equal(RequestToPEM(block.Bytes), text) {
		return nil, fmt.Errorf("want one PEM block %q and nothing else", requestPEM)
	}
	return block.Bytes, nil
}
