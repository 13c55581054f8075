package controller

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"sluice.io/sluice/controller/object"
	"sluice.io/sluice/source/kube"
)

func TestCopiesOfWhatIsUsed(t *testing.T) {
	w := newWorld(t)
	cert, key := certificate(t, "a.example.com")
	secret := func(name string) {
		w.Apply(t, fmt.Sprintf("apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {name: %s, namespace: %s}\ndata: {tls.crt: %s, tls.key: %s, more: %s}\n", name, w.ns, cert, key, key))
	}
	secret("used")
	secret("unused")
	listener := `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: %s}
spec:
  gatewayClassName: %s
  listeners:
  - {name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: %s}]}}
`
	w.Apply(t, fmt.Sprintf(listener, w.ns, w.class, "used"))
	r := w.run()
	list := func() []corev1.Secret {
		return read[corev1.SecretList](w, "/api/v1/namespaces/"+w.copies+"/secrets").Items
	}
	w.await("the copy", func() bool { return len(list()) == 1 })
	got := list()[0]
	if got.Annotations[kube.CopiedFrom] != "Secret/"+w.ns+"/used" || got.Type != corev1.SecretTypeOpaque || len(got.Data) != 2 || got.Labels[object.ManagedBy] != object.Manager {
		t.Errorf("copy %v of type %s with %d entries", got.Annotations, got.Type, len(got.Data))
	}
	other, otherKey := certificate(t, "b.example.com")
	w.Kube(t, "patch", "secret", "-n", w.ns, "used", "-p", fmt.Sprintf(`{"data":{"tls.crt":%q,"tls.key":%q}}`, other, otherKey))
	w.await("the copy follows", func() bool { return string(list()[0].Data["tls.crt"]) != string(got.Data["tls.crt"]) })
	w.Kube(t, "delete", "secret", "-n", w.copies, got.Name)
	w.await("the copy is made again", func() bool { return len(list()) == 1 })
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	w.Apply(t, fmt.Sprintf(listener, w.ns, w.class, "unused"))
	w.start(w.options(w.Config(t), "two"))
	w.await("another copy, and no more the first", func() bool {
		l := list()
		return len(l) == 1 && l[0].Annotations[kube.CopiedFrom] == "Secret/"+w.ns+"/unused"
	})
	w.Kube(t, "delete", "gateway", "-n", w.ns, "gw")
	w.await("none", func() bool { return len(list()) == 0 })
}
