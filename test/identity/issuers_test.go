package identity

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"sluice.io/sluice/identity"
	"sluice.io/sluice/identity/certmanager"
	"sluice.io/sluice/identity/identitytest"
)

// others are issuers of other kinds, and the rights to approve for them: a
// ClusterIssuer, and one that cert-manager knows nothing of.
const others = `
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {name: wide}
spec: {ca: {secretName: mesh-ca}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: vaults.issuers.example.com}
spec:
  group: issuers.example.com
  names: {kind: Vault, plural: vaults}
  scope: Namespaced
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: sluice-controller-others}
rules:
- {apiGroups: [cert-manager.io], resources: [signers], resourceNames: [clusterissuers.cert-manager.io/wide, vaults.issuers.example.com/sluice-system.deep], verbs: [approve]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: sluice-controller-others}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: sluice-controller-others}
subjects: [{kind: ServiceAccount, name: sluice-controller, namespace: sluice-system}]
`

// TestOtherIssuers: of whatever kind and group, as the operator names it.
func TestOtherIssuers(t *testing.T) {
	w := newWorld(t)
	w.pod(t, "shop", "cart", "cart", "node1")
	w.Apply(t, others)
	w.Kube(t, "wait", "--for=condition=Established", "--timeout=60s", "crd", "vaults.issuers.example.com")
	cart := identitytest.ID(t, "shop", "cart")
	t.Run("ClusterIssuer", func(t *testing.T) {
		w.sign(t, w.fresh(t))
		ref := certmanager.IssuerRef{Name: "wide", Kind: "ClusterIssuer"}
		w.controllerOf(t, ref, time.Minute)
		k := w.nodeOf(t, ref, "node1", identity.Options{})
		k.Want(cart)
		served(t, k, cart)
	})
	t.Run("another group's", func(t *testing.T) {
		root := w.fresh(t)
		ref := certmanager.IssuerRef{Name: "deep", Kind: "Vault", Group: "issuers.example.com"}
		w.controllerOf(t, ref, time.Minute)
		background(t, func(ctx context.Context) error { return w.vault(ctx, t, ref, root) })
		k := w.nodeOf(t, ref, "node1", identity.Options{})
		k.Want(cart)
		served(t, k, cart)
	})
}

// vault signs what is approved for an issuer, as controllers of others do.
func (w *world) vault(ctx context.Context, t *testing.T, ref certmanager.IssuerRef, by *identitytest.Issuer) error {
	client, err := dynamic.NewForConfig(w.Config(t))
	if err != nil {
		return err
	}
	requests := client.Resource(certmanager.Resource).Namespace(system)
	for ; ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		list, err := requests.List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for i := range list.Items {
			r, _, err := certmanager.Decode(&list.Items[i])
			if err != nil {
				return err
			}
			if r.Spec.IssuerRef != ref || !r.Status.Is(certmanager.Approved) || r.Status.Is(certmanager.Ready) {
				continue
			}
			status, err := signed(r, by)
			if err != nil {
				return err
			}
			if _, err := requests.Patch(ctx, r.Name, types.MergePatchType, status, metav1.PatchOptions{}, "status"); err != nil {
				return err
			}
		}
	}
	return nil
}

// signed is the status of a request that is signed.
func signed(r *certmanager.CertificateRequest, by *identitytest.Issuer) ([]byte, error) {
	der, err := identity.RequestFromPEM(r.Spec.Request)
	if err != nil {
		return nil, err
	}
	id, _, err := identity.ReadRequest(der)
	if err != nil {
		return nil, err
	}
	chain, err := by.Issue(identity.Request{ID: id, DER: der, Lifetime: r.Spec.Duration.Duration}, nil)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	now := metav1.Now()
	r.Status.Certificate = identity.CertificatesToPEM(chain...)
	r.Status.Conditions = append(r.Status.Conditions, certmanager.Condition{Type: certmanager.Ready, Status: "True", Reason: "Issued", LastTransitionTime: &now})
	return json.Marshal(map[string]any{"status": r.Status})
}
