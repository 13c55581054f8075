package certmanager

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"

	"sluice.io/sluice/identity"
)

// Options say where to ask, and whom.
type Options struct {
	Client dynamic.Interface
	// Namespace is where requests are made.
	Namespace string
	Issuer    IssuerRef
	// Node is this node's name; requests are called by it, for people.
	Node string
}

// Authority asks cert-manager. It needs the rights to create, get and watch
// CertificateRequests in its namespace, and no others: what is over is removed by
// who approves.
type Authority struct {
	opts     Options
	requests dynamic.ResourceInterface
}

// NewAuthority allocates an authority. It asks nothing yet.
func NewAuthority(o Options) (*Authority, error) {
	if o.Client == nil || o.Namespace == "" || o.Issuer.Name == "" {
		return nil, errors.New("cert-manager is asked with a client, in a namespace, for an issuer's certificates: one is missing")
	}
	o.Issuer = o.Issuer.Complete()
	return &Authority{o, o.Client.Resource(Resource).Namespace(o.Namespace)}, nil
}

// usages are those of all requests: both ends of TLS.
var usages = []string{"digital signature", "server auth", "client auth"}

// IsUsages tells whether usages are those that requests have.
func IsUsages(all []string) bool {
	sorted := func(s []string) []string { return slices.Sorted(slices.Values(s)) }
	return slices.Equal(sorted(all), sorted(usages))
}

// Labels and annotations of requests, for people. Nothing is decided by them.
const (
	managedBy = "app.kubernetes.io/managed-by"
	manager   = "sluice"
	// AnnotationPrefix is that of the annotations that requests may have.
	AnnotationPrefix = "sluice.io/"
	identityOf       = AnnotationPrefix + "identity"
)

// Sign makes a request and waits for its certificate.
func (a *Authority) Sign(ctx context.Context, r identity.Request) ([]*x509.Certificate, error) {
	progress := r.Progress
	if progress == nil {
		progress = func(string) {}
	}
	progress("making a CertificateRequest")
	made, err := a.create(ctx, r)
	if err != nil {
		return nil, err
	}
	text, err := a.await(ctx, made, progress)
	if err != nil {
		return nil, err
	}
	chain, err := identity.ParseCertificates(text)
	if err != nil {
		return nil, fmt.Errorf("read the certificate that %s has issued: %w", a.opts.Issuer, err)
	}
	return chain, nil
}

// create makes a request.
func (a *Authority) create(ctx context.Context, r identity.Request) (*CertificateRequest, error) {
	u, err := (&CertificateRequest{
		TypeMeta: metav1.TypeMeta{APIVersion: Resource.GroupVersion().String(), Kind: "CertificateRequest"},
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: prefix(a.opts.Node), Namespace: a.opts.Namespace,
			Labels:      map[string]string{managedBy: manager},
			Annotations: map[string]string{identityOf: r.ID.String()},
		},
		Spec: Spec{
			Duration: &metav1.Duration{Duration: r.Lifetime.Round(time.Second)}, IssuerRef: a.opts.Issuer,
			Request: identity.RequestToPEM(r.DER), Usages: usages,
		},
	}).encode()
	if err != nil {
		return nil, err
	}
	u, err = a.requests.Create(ctx, u, metav1.CreateOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("make a CertificateRequest in namespace %s: cert-manager's CRDs, or the namespace, are not installed: %w", a.opts.Namespace, err)
	case apierrors.IsForbidden(err):
		return nil, fmt.Errorf("make a CertificateRequest in namespace %s: this agent lacks the right, or an admission policy refuses it: %w", a.opts.Namespace, err)
	case err != nil:
		return nil, fmt.Errorf("make a CertificateRequest in namespace %s: %w", a.opts.Namespace, err)
	}
	made, _, err := Decode(u)
	return made, err
}

// prefix is the start of a request's name: the node's, as far as it fits.
func prefix(node string) string {
	const longest = 200
	if node == "" {
		node = "node"
	}
	return strings.TrimRight(node[:min(len(node), longest)], ".-") + "-"
}
