package identity

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"sluice.io/sluice/identity"
	"sluice.io/sluice/identity/approver"
	"sluice.io/sluice/identity/certmanager"
	"sluice.io/sluice/identity/identitytest"
)

// newTry is a CertificateRequest as an agent writes it, to be changed.
func newTry(t *testing.T, id identity.ID) *unstructured.Unstructured {
	t.Helper()
	der, err := identity.NewRequest(id, identitytest.NewKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "cert-manager.io/v1", "kind": "CertificateRequest",
		"metadata": map[string]any{"generateName": "try-", "namespace": system},
		"spec": map[string]any{
			"duration": "1h0m0s", "issuerRef": map[string]any{"name": "mesh", "kind": "Issuer", "group": "cert-manager.io"},
			"request": base64.StdEncoding.EncodeToString(identity.RequestToPEM(der)),
			"usages":  []any{"digital signature", "server auth", "client auth"},
		},
	}}
}

// set changes a field of a try.
func set(t *testing.T, u *unstructured.Unstructured, value any, field ...string) {
	t.Helper()
	if err := unstructured.SetNestedField(u.Object, value, field...); err != nil {
		t.Fatal(err)
	}
}

// thief is somebody with a token.
type thief struct {
	t        *testing.T
	w        *world
	requests dynamic.ResourceInterface
}

func (w *world) thief(t *testing.T, account, pod string) thief {
	t.Helper()
	client, err := dynamic.NewForConfig(w.as(t, account, pod))
	if err != nil {
		t.Fatal(err)
	}
	return thief{t, w, client.Resource(certmanager.Resource).Namespace(system)}
}

// decision makes a request and waits for what is decided.
func (h thief) decision(u *unstructured.Unstructured) certmanager.Condition {
	h.t.Helper()
	made, err := h.requests.Create(h.t.Context(), u, metav1.CreateOptions{})
	if err != nil {
		return certmanager.Condition{Type: "Refused", Message: err.Error()}
	}
	var c certmanager.Condition
	within(h.t, "a decision", func() (bool, string) {
		r := h.read(made.GetName())
		for _, x := range r.Status.Conditions {
			if x.Type == certmanager.Approved || x.Type == certmanager.Denied {
				c = x
			}
		}
		return c.Type != "", ""
	})
	if r := h.read(made.GetName()); c.Type == certmanager.Denied && len(r.Status.Certificate) > 0 {
		h.t.Errorf("%s was denied and has a certificate", r.Name)
	}
	return c
}

func (h thief) read(name string) *certmanager.CertificateRequest {
	h.t.Helper()
	u, err := h.requests.Get(h.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		h.t.Fatal(err)
	}
	r, _, err := certmanager.Decode(u)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// standard is a request that the standard library writes.
func standard(t *testing.T, template *x509.CertificateRequest) string {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, template, identitytest.NewKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(identity.RequestToPEM(der))
}

// TestStolenToken: what the token of an agent of node1 yields.
func TestStolenToken(t *testing.T) {
	w := newWorld(t)
	w.pod(t, "shop", "cart", "cart", "node1")
	w.pod(t, "shop", "till", "till", "node2")
	w.pod(t, "shop", "over", "over", "node1", "activeDeadlineSeconds: 1", "restartPolicy: Never")
	w.pod(t, "shop", "host", "host", "node1", "hostNetwork: true")
	w.Kube(t, "wait", "--for=jsonpath={.status.phase}=Failed", "--timeout=60s", "pod", "-n", "shop", "over")
	w.sign(t, w.fresh(t))
	w.controller(t, time.Minute)
	id := func(account string) identity.ID { return identitytest.ID(t, "shop", account) }
	own := []*url.URL{id("cart").URL()}
	ofNode1, ofNode2 := w.thief(t, "sluice-agent", "agent-node1"), w.thief(t, "sluice-agent", "agent-node2")
	forged := func(field string, value any) func(u *unstructured.Unstructured) {
		return func(u *unstructured.Unstructured) { set(t, u, value, "spec", field) }
	}
	for name, tc := range map[string]struct {
		who     thief
		account string
		change  func(u *unstructured.Unstructured)
		want    string // a part of the condition's type and message
	}{
		"its own":                           {ofNode1, "cart", nil, "Approved pod shop/cart runs on node node1"},
		"another node's":                    {ofNode1, "till", nil, "Denied NoPodOnNode"},
		"the other way round":               {ofNode2, "cart", nil, "Denied NoPodOnNode"},
		"on the right node":                 {ofNode2, "till", nil, "Approved"},
		"nobody's":                          {ofNode1, "nobody", nil, "Denied NoPodOnNode"},
		"of a pod that has finished":        {ofNode1, "over", nil, "Denied NoPodOnNode"},
		"of a pod on the host's network":    {ofNode1, "host", nil, "Denied NoPodOnNode"},
		"a token that is bound to no pod":   {w.thief(t, "sluice-agent", ""), "cart", nil, "Denied NoNode"},
		"the controller's token":            {w.thief(t, "sluice-controller", ""), "cart", nil, "Refused"},
		"in the name of node2":              {ofNode1, "till", forged("extra", map[string]any{"authentication.kubernetes.io/node-name": []any{"node2"}, "authentication.kubernetes.io/pod-name": []any{"agent-node2"}, "authentication.kubernetes.io/pod-uid": []any{"x"}}), "Denied NoPodOnNode"},
		"in an administrator's name":        {ofNode1, "till", forged("username", "system:admin"), "Denied NoPodOnNode"},
		"an authority":                      {ofNode1, "cart", forged("isCA", true), "Denied CA"},
		"for ninety days":                   {ofNode1, "cart", forged("duration", "2160h0m0s"), "Denied Duration"},
		"for however long the issuer likes": {ofNode1, "cart", func(u *unstructured.Unstructured) { unstructured.RemoveNestedField(u.Object, "spec", "duration") }, "Denied Duration"},
		"to sign with":                      {ofNode1, "cart", forged("usages", []any{"cert sign", "digital signature", "server auth", "client auth"}), "Denied Usages"},
		"two identities":                    {ofNode1, "cart", forged("request", standard(t, &x509.CertificateRequest{URIs: append(own, id("till").URL())})), "Denied Request"},
		"a DNS name":                        {ofNode1, "cart", forged("request", standard(t, &x509.CertificateRequest{URIs: own, DNSNames: []string{"shop.example.com"}})), "Denied Request"},
		"an issuer's annotation": {ofNode1, "cart", func(u *unstructured.Unstructured) {
			u.SetAnnotations(map[string]string{"venafi.cert-manager.io/custom-fields": "[]"})
		}, "Denied Annotation"},
		"a field that nobody has": {ofNode1, "cart", forged("literalSubject", "CN=x"), "Approved"}, // the API server drops it
	} {
		t.Run(name, func(t *testing.T) {
			u := newTry(t, id(tc.account))
			if tc.change != nil {
				tc.change(u)
			}
			tc.who.t = t
			if c := tc.who.decision(u); !strings.HasPrefix(c.Type+" "+c.Message, tc.want) {
				t.Errorf("%s: %s; want %s", c.Type, c.Message, tc.want)
			}
		})
	}
}

// TestWhatAgentsCannotDo: an agent's token neither approves, nor changes, nor
// removes, nor lists requests; and one of an agent that is gone does nothing.
func TestWhatAgentsCannotDo(t *testing.T) {
	w := newWorld(t)
	w.pod(t, "shop", "till", "till", "node2")
	w.sign(t, w.fresh(t))
	h := w.thief(t, "sluice-agent", "agent-node1")
	made, err := h.requests.Create(t.Context(), newTry(t, identitytest.ID(t, "shop", "till")), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	approval, err := json.Marshal(map[string]any{"status": map[string]any{"conditions": []any{
		map[string]any{"type": "Approved", "status": "True", "reason": approver.By},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, act := range map[string]func() error{
		"approve": func() error {
			_, err := h.requests.Patch(t.Context(), made.GetName(), types.MergePatchType, approval, metav1.PatchOptions{}, "status")
			return err
		},
		"change": func() error {
			_, err := h.requests.Patch(t.Context(), made.GetName(), types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{})
			return err
		},
		"remove": func() error { return h.requests.Delete(t.Context(), made.GetName(), metav1.DeleteOptions{}) },
		"list": func() error {
			_, err := h.requests.List(t.Context(), metav1.ListOptions{})
			return err
		},
	} {
		if err := act(); !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v, want it forbidden", name, err)
		}
	}
	// A status that is made with the request is dropped by the API server.
	u := newTry(t, identitytest.ID(t, "shop", "till"))
	set(t, u, []any{map[string]any{"type": "Approved", "status": "True", "reason": approver.By}}, "status", "conditions")
	made, err = h.requests.Create(t.Context(), u, metav1.CreateOptions{})
	if err != nil || len(h.read(made.GetName()).Status.Conditions) > 0 {
		t.Errorf("a request was made that is approved: %v", err)
	}
	// Another issuer's requests are neither approved nor denied by the controller.
	w.controller(t, time.Minute)
	u = newTry(t, identitytest.ID(t, "shop", "till"))
	set(t, u, "other", "spec", "issuerRef", "name")
	left, err := h.requests.Create(t.Context(), u, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if c := h.decision(newTry(t, identitytest.ID(t, "shop", "till"))); c.Type != certmanager.Denied {
		t.Errorf("%+v: want it denied", c)
	}
	if r := h.read(left.GetName()); r.Status.Decided() {
		t.Errorf("another issuer's request was decided: %+v", r.Status.Conditions)
	}

	w.pod(t, system, "agent-gone", "sluice-agent", "node1", "hostNetwork: true")
	gone := w.thief(t, "sluice-agent", "agent-gone")
	w.Kube(t, "delete", "pod", "-n", system, "agent-gone")
	within(t, "the token to be worth nothing", func() (bool, string) {
		_, err := gone.requests.Create(t.Context(), newTry(t, identitytest.ID(t, "shop", "cart")), metav1.CreateOptions{})
		return apierrors.IsUnauthorized(err), ""
	})
}

// TestWithoutWebhook: where cert-manager's webhook is missing, a request says of
// itself who has made it. The admission policy does not let that pass.
func TestWithoutWebhook(t *testing.T) {
	w := newWorld(t)
	w.pod(t, "shop", "till", "till", "node2")
	w.sign(t, w.fresh(t))
	w.controller(t, time.Minute)
	hooks := w.Kube(t, "get", "mutatingwebhookconfiguration,validatingwebhookconfiguration", "cert-manager-webhook", "-o", "json")
	w.Kube(t, "delete", "mutatingwebhookconfiguration,validatingwebhookconfiguration", "cert-manager-webhook")
	t.Cleanup(func() { w.Create(t, bare(t, hooks)) })
	agent, err := w.core.Pods(system).Get(t.Context(), "agent-node2", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	h := w.thief(t, "sluice-agent", "agent-node1")
	forged := func() *unstructured.Unstructured {
		u := newTry(t, identitytest.ID(t, "shop", "till"))
		set(t, u, "system:serviceaccount:sluice-system:sluice-agent", "spec", "username")
		set(t, u, map[string]any{
			"authentication.kubernetes.io/node-name": []any{"node2"}, "authentication.kubernetes.io/pod-name": []any{"agent-node2"},
			"authentication.kubernetes.io/pod-uid": []any{string(agent.UID)},
		}, "spec", "extra")
		return u
	}
	within(t, "the webhook to be out of the API server's mind", func() (bool, string) {
		c := h.decision(forged())
		return c.Type == certmanager.Approved, c.Message
	})
	t.Log("without the webhook and the policy, a forged request is approved: this is what the policy is for")

	w.Apply(t, approver.AdmissionPolicy(system))
	t.Cleanup(func() {
		w.Kube(t, "delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", "sluice-certificaterequests")
	})
	within(t, "the policy to be in force", func() (bool, string) {
		c := h.decision(forged())
		return c.Type == "Refused" && strings.Contains(c.Message, "spec.extra is not what the API server knows"), c.Type + " " + c.Message
	})
	for name, tc := range map[string]struct {
		change func(u *unstructured.Unstructured)
		want   string
	}{
		"a forged name": {func(u *unstructured.Unstructured) { set(t, u, "admin", "spec", "username") }, "spec.username is not who makes the request"},
		"no name":       {func(u *unstructured.Unstructured) { unstructured.RemoveNestedField(u.Object, "spec", "username") }, "spec.username is not who makes the request"},
		"no extra":      {func(u *unstructured.Unstructured) { unstructured.RemoveNestedField(u.Object, "spec", "extra") }, "spec.extra is not what the API server knows"},
	} {
		u := forged()
		tc.change(u)
		if c := h.decision(u); c.Type != "Refused" || !strings.Contains(c.Message, tc.want) {
			t.Errorf("%s: %s %s; want %q", name, c.Type, c.Message, tc.want)
		}
	}
}

// TestPolicyLetsAgentsPass: with cert-manager as it should be, the admission
// policy is in nobody's way.
func TestPolicyLetsAgentsPass(t *testing.T) {
	w := newWorld(t)
	w.pod(t, "shop", "cart", "cart", "node1")
	w.sign(t, w.fresh(t))
	w.controller(t, time.Minute)
	w.Apply(t, approver.AdmissionPolicy(system))
	t.Cleanup(func() {
		w.Kube(t, "delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", "sluice-certificaterequests")
	})
	k := w.node(t, "node1", identity.Options{})
	k.Want(identitytest.ID(t, "shop", "cart"))
	served(t, k, identitytest.ID(t, "shop", "cart"))
}

// bare is a list of objects without what the API server adds.
func bare(t *testing.T, list string) string {
	t.Helper()
	var content struct {
		APIVersion string           `json:"apiVersion"`
		Kind       string           `json:"kind"`
		Items      []map[string]any `json:"items"`
	}
	if err := json.Unmarshal([]byte(list), &content); err != nil {
		t.Fatal(err)
	}
	for _, o := range content.Items {
		meta := o["metadata"].(map[string]any)
		for _, k := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"} {
			delete(meta, k)
		}
	}
	text, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
