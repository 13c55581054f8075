package controller

import (
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source/kube"
)

func secretRef(namespace, name string) model.ObjectRef {
	return model.ObjectRef{Kind: kindSecret, Namespace: namespace, Name: name}
}

// TestABundleBringsNoKeyAlong: of the Secret of an authority, agents get its certificate and
// not its key, wherever in the Secret that is; its key comes only when a listener uses it, and
// goes when none does.
func TestABundleBringsNoKeyAlong(t *testing.T) {
	w := newWorld(t)
	cert, key := certificate(t, "a.example.com")
	authority, authorityKey := certificate(t, "ca.example.com")
	text := func(encoded string) string {
		b, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	mixed := base64.StdEncoding.EncodeToString([]byte(text(authorityKey) + text(authority))) // somebody put the key there as well
	listener := `
- {name: LETTER, port: 443, protocol: HTTPS, hostname: LETTER.example.com, tls: {certificateRefs: [{name: SECRET}]}}`
	gateway := func(second string) {
		listeners := strings.NewReplacer("LETTER", "a", "SECRET", "cert").Replace(listener) + strings.NewReplacer("LETTER", "ca", "SECRET", second).Replace(listener)
		w.Apply(t, strings.NewReplacer("NS", w.ns, "CLASS", w.class, "LISTENERS", strings.ReplaceAll(listeners, "\n", "\n  ")).Replace(`
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: NS}
spec:
  gatewayClassName: CLASS
  tls: {frontend: {default: {validation: {caCertificateRefs: [{group: "", kind: Secret, name: authority}]}}}}
  listeners:LISTENERS
`))
	}
	w.Apply(t, strings.NewReplacer("NS", w.ns, "COPIES", w.copies, "CERT", cert, "KEY", key, "AUTHORITYCERT", authority, "AUTHORITYKEY", authorityKey, "MIXED", mixed, "NAME",
		(&copies{}).name(secretRef(w.ns, "authority")).Name, "FROM", kube.CopyName(secretRef(w.ns, "authority"))).Replace(`
apiVersion: v1
kind: Secret
type: kubernetes.io/tls
metadata: {name: cert, namespace: NS}
data: {tls.crt: CERT, tls.key: KEY}
---
apiVersion: v1
kind: Secret
type: kubernetes.io/tls
metadata: {name: authority, namespace: NS}
data: {tls.crt: AUTHORITYCERT, tls.key: AUTHORITYKEY, ca.crt: MIXED, more: AUTHORITYKEY}
---
# A copy as an earlier version made them.
apiVersion: v1
kind: Secret
type: kubernetes.io/tls
metadata: {name: NAME, namespace: COPIES, labels: {app.kubernetes.io/managed-by: sluice-controller}, annotations: {sluice.io/copied-from: FROM, sluice.io/applied: old}}
data: {tls.crt: AUTHORITYCERT, tls.key: AUTHORITYKEY, ca.crt: MIXED}
`))
	gateway("cert")
	w.run()
	copied := func(name string) *corev1.Secret {
		return read[corev1.Secret](w, "/api/v1/namespaces/"+w.copies+"/secrets/"+(&copies{}).name(secretRef(w.ns, name)).Name)
	}
	entries := func(name string, want ...string) func() bool {
		return func() bool {
			s := copied(name)
			return s != nil && s.Type == corev1.SecretTypeOpaque && slices.Equal(slices.Sorted(maps.Keys(s.Data)), want)
		}
	}
	w.await("the listener's copy", entries("cert", "tls.crt", "tls.key"))
	w.await("the authority's copy", entries("authority", "ca.crt"))
	if got := string(copied("authority").Data["ca.crt"]); got != text(authority) {
		t.Errorf("the authority's copy is not its certificate: %d bytes, a key: %v", len(got), strings.Contains(got, "PRIVATE"))
	}
	gateway("authority")
	w.await("a listener uses the authority's key", entries("authority", "ca.crt", "tls.crt", "tls.key"))
	uid := copied("authority").UID
	gateway("cert")
	w.await("no listener does", entries("authority", "ca.crt"))
	if copied("authority").UID != uid {
		t.Error("the copy was removed on the way")
	}
}
