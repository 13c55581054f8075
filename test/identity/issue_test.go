package identity

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"

	"sluice.io/sluice/identity"
	"sluice.io/sluice/identity/certmanager"
	"sluice.io/sluice/identity/identitytest"
)

// TestIssue: pods on two nodes get identities, and the two know each other.
func TestIssue(t *testing.T) {
	w := newWorld(t)
	w.pod(t, "shop", "cart", "cart", "node1")
	w.pod(t, "shop", "cart-again", "cart", "node1")
	w.pod(t, "shop", "till", "till", "node2")
	w.Kube(t, "wait", "--for=condition=Ready", "--timeout=60s", "pod", "-n", "shop", "cart", "till")
	root := w.fresh(t)
	w.sign(t, root.Intermediate(t, "between"))
	w.controller(t, 5*time.Second)
	cart, till := identitytest.ID(t, "shop", "cart"), identitytest.ID(t, "shop", "till")
	one, two := w.node(t, "node1", identity.Options{}), w.node(t, "node2", identity.Options{})
	began := time.Now()
	one.Want(cart)
	two.Want(till)
	a := identitytest.End{SVID: served(t, one, cart), Bundle: one.Bundle()}
	b := identitytest.End{SVID: served(t, two, till), Bundle: two.Bundle()}
	t.Logf("two identities on two nodes after %s, with trust and all", time.Since(began).Round(time.Millisecond))
	for _, way := range [][2]identitytest.End{{a, b}, {b, a}} {
		if err := identitytest.Handshake(t.Context(), way[0], way[1]); err != nil {
			t.Error(err)
		}
	}
	chain, err := identity.ParseCertificates(a.SVID.ChainPEM())
	if err != nil || len(chain) != 2 {
		t.Fatalf("the chain has %d certificates, %v: want the leaf and the intermediate", len(chain), err)
	}
	leaf := chain[0]
	t.Logf("serial %s, from %s ago to in %s, usages %v, subject %q", a.SVID.Serial, time.Since(leaf.NotBefore).Round(time.Second), time.Until(leaf.NotAfter).Round(time.Second), leaf.ExtKeyUsage, leaf.Subject)
	if len(leaf.Subject.Names) > 0 || time.Until(leaf.NotAfter) > day || leaf.PublicKeyAlgorithm != x509.ECDSA {
		t.Errorf("certificate %+v", leaf)
	}

	// What is over is removed, by the controller.
	within(t, "requests removed", func() (bool, string) {
		out := w.Kube(t, "get", "certificaterequests", "-n", system, "-o", "name")
		return out == "", out
	})
	// An identity of a node that has no such pod is denied, and the node says why.
	one.Want(cart, till)
	within(t, "a denial", func() (bool, string) {
		for _, s := range one.Status() {
			if s.ID == till && strings.Contains(s.Problem, "NoPodOnNode: no pod of service account shop/till") {
				return true, ""
			}
		}
		text, err := json.Marshal(one.Status())
		return false, fmt.Sprint(string(text), err)
	})
	if one.SVID(till) != nil {
		t.Error("node1 has node2's identity")
	}
}

// TestHundredIdentities: a node that starts with a hundred.
func TestHundredIdentities(t *testing.T) {
	w := newWorld(t)
	root := w.fresh(t)
	w.sign(t, root)
	w.controller(t, time.Minute)
	var all []identity.ID
	var pods strings.Builder
	for i := range 100 {
		account := fmt.Sprintf("account%d", i)
		all = append(all, identitytest.ID(t, "crowd", account))
		fmt.Fprintf(&pods, `---
apiVersion: v1
kind: ServiceAccount
metadata: {name: %[1]s, namespace: crowd}
---
apiVersion: v1
kind: Pod
metadata: {name: %[1]s, namespace: crowd}
spec:
  serviceAccountName: %[1]s
  nodeName: ghost1
  containers: [{name: pause, image: "registry.k8s.io/pause:3.10.1"}]
`, account)
	}
	w.Kube(t, "create", "namespace", "crowd")
	w.Apply(t, pods.String())
	k := w.node(t, "ghost1", identity.Options{})
	within(t, "the trust bundle", func() (bool, string) { return k.Bundle() != nil, "" })
	began := time.Now()
	k.Want(all...)
	within(t, "100 certificates", func() (bool, string) { return k.Missing() == 0, fmt.Sprint(k.Missing()) })
	took := time.Since(began)
	t.Logf("100 identities after %s, %.0f a second", took.Round(time.Millisecond), 100/took.Seconds())
}

// TestAway: with cert-manager or the API server away, what is there goes on, and
// what is missing comes when they are back.
func TestAway(t *testing.T) {
	w := newWorld(t)
	w.pod(t, "shop", "cart", "cart", "node1")
	w.pod(t, "shop", "extra", "extra", "node1")
	root := w.fresh(t)
	w.sign(t, root)
	w.controller(t, time.Minute)
	cart, extra := identitytest.ID(t, "shop", "cart"), identitytest.ID(t, "shop", "extra")
	k := w.node(t, "node1", identity.Options{})
	k.Want(cart)
	served(t, k, cart)
	for _, name := range []string{"cert-manager", "apiserver"} {
		if err := w.StopComponent(t.Context(), name, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	k.Want(cart, extra)
	within(t, "a failure", func() (bool, string) { return k.Status()[1].Failures > 0, "" })
	t.Logf("without an API server: %s", k.Status()[1].Problem)
	w.Start(t)
	within(t, "another failure", func() (bool, string) {
		return strings.Contains(k.Status()[1].Problem, "webhook"), k.Status()[1].Problem
	})
	t.Logf("without cert-manager: %s", k.Status()[1].Problem)
	if k.SVID(cart) == nil {
		t.Error("the certificate that was there has gone")
	}
	if err := w.StartComponent(t.Context(), "cert-manager"); err != nil {
		t.Fatal(err)
	}
	served(t, k, extra)
}

// TestForeignApproval: somebody else's approval is noticed.
func TestForeignApproval(t *testing.T) {
	w := newWorld(t)
	w.sign(t, w.fresh(t))
	client, err := dynamic.NewForConfig(w.agent(t, "node1"))
	if err != nil {
		t.Fatal(err)
	}
	// Made before the controller runs, so that somebody else comes first.
	r := newTry(t, identitytest.ID(t, "kube-system", "clusterrole-aggregation-controller"))
	made, err := client.Resource(certmanager.Resource).Namespace(system).Create(t.Context(), r, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.Kube(t, "patch", "certificaterequest", "-n", system, made.GetName(), "--subresource=status", "--type=merge", "-p",
		`{"status":{"conditions":[{"type":"Approved","status":"True","reason":"cert-manager.io","message":"Certificate request has been approved by cert-manager.io"}]}}`)
	log := w.controller(t, time.Minute)
	within(t, "an error in the controller's log", func() (bool, string) {
		return strings.Contains(log(), "somebody else approves certificates of Sluice's issuer"), log()
	})
}
