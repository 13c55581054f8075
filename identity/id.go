package identity

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// TrustDomain is the part of an identity that says whose authority vouches for
// it, such as cluster.local.
type TrustDomain = spiffeid.TrustDomain

// The longest names: of trust domains by the SPIFFE standard, of namespaces and
// service accounts by Kubernetes.
const (
	maxTrustDomain = 255
	maxNamespace   = 63
	maxAccount     = 253
)

// ParseTrustDomain reads the name of a trust domain.
func ParseTrustDomain(name string) (TrustDomain, error) {
	if strings.Contains(name, "/") || len(name) > maxTrustDomain {
		return TrustDomain{}, fmt.Errorf("trust domain %q: want a name such as cluster.local, of at most %d letters", clip(name), maxTrustDomain)
	}
	td, err := spiffeid.TrustDomainFromString(name)
	if err != nil {
		return TrustDomain{}, fmt.Errorf("trust domain %q: %w", clip(name), err)
	}
	return td, nil
}

// ID is the identity of a service account. It can be compared, and be the key of
// a map. The zero value is nobody's.
type ID struct {
	trustDomain        TrustDomain
	namespace, account string
}

// New makes the identity of a service account.
func New(td TrustDomain, namespace, account string) (ID, error) {
	if td.IsZero() {
		return ID{}, errors.New("an identity needs a trust domain")
	}
	if !isName(namespace, maxNamespace) || strings.Contains(namespace, ".") {
		return ID{}, fmt.Errorf("namespace %q: want at most %d lower-case letters, digits and hyphens", clip(namespace), maxNamespace)
	}
	if !isName(account, maxAccount) {
		return ID{}, fmt.Errorf("service account %q: want at most %d lower-case letters, digits, hyphens and dots", clip(account), maxAccount)
	}
	return ID{td, namespace, account}, nil
}

// isName tells whether Kubernetes would take this as a name. What passes is a
// segment of a SPIFFE path that needs no encoding, and only one way to write it.
func isName(s string, longest int) bool {
	if s == "" || len(s) > longest {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return true
}

// Parse reads an identity, such as spiffe://cluster.local/ns/shop/sa/cart. There
// is one way to write each: nothing is decoded, lowered or cut.
func Parse(s string) (ID, error) {
	if len(s) > 2048 {
		return ID{}, fmt.Errorf("%q is longer than a SPIFFE ID may be", clip(s))
	}
	name, err := spiffeid.FromString(s)
	if err != nil {
		return ID{}, fmt.Errorf("%q is no SPIFFE ID: %w", clip(s), err)
	}
	part := strings.Split(name.Path(), "/") // the first one is empty
	if len(part) != 5 || part[1] != "ns" || part[3] != "sa" {
		return ID{}, fmt.Errorf("%q is not the identity of a service account: want spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT", clip(s))
	}
	td, err := ParseTrustDomain(name.TrustDomain().Name())
	if err != nil {
		return ID{}, err
	}
	id, err := New(td, part[2], part[4])
	if err != nil {
		return ID{}, fmt.Errorf("%q: %w", clip(s), err)
	}
	return id, nil
}

// TrustDomain says whose authority vouches for the identity.
func (i ID) TrustDomain() TrustDomain { return i.trustDomain }

// Namespace is that of the service account.
func (i ID) Namespace() string { return i.namespace }

// ServiceAccount is the name of the service account.
func (i ID) ServiceAccount() string { return i.account }

// IsZero tells whether this is nobody's identity.
func (i ID) IsZero() bool { return i == ID{} }

// String is the SPIFFE ID.
func (i ID) String() string {
	if i.IsZero() {
		return ""
	}
	return "spiffe://" + i.trustDomain.Name() + "/ns/" + i.namespace + "/sa/" + i.account
}

// URL is the SPIFFE ID as the name that is in certificates.
func (i ID) URL() *url.URL {
	return &url.URL{Scheme: "spiffe", Host: i.trustDomain.Name(), Path: "/ns/" + i.namespace + "/sa/" + i.account}
}

// MarshalText writes the SPIFFE ID.
func (i ID) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// Compare orders identities by their SPIFFE IDs' parts.
func Compare(a, b ID) int {
	return cmp.Or(a.trustDomain.Compare(b.trustDomain), cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.account, b.account))
}

// clip shortens what others have written, for messages.
func clip(s string) string {
	const longest = 100
	if len(s) > longest {
		return s[:longest] + "..."
	}
	return s
}
