package controller

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"sluice.io/sluice/test/apiserver"
)

func TestOfTwoOneLeads(t *testing.T) {
	w := newWorld(t)
	one := w.start(w.options(w.Config(t), "one"))
	holder := func() string {
		return w.Kube(t, "get", "lease", "-n", w.system, "sluice-controller", "-o", "jsonpath={.spec.holderIdentity}")
	}
	w.await("one leads", func() bool { return one.ready() == nil && holder() == "one" })
	two := w.start(w.options(w.Config(t), "two"))
	w.await("two waits, ready", func() bool { return two.ready() == nil })
	w.gateway("gw", "")
	w.await("one works", func() bool { return condition(w.readGateway("gw"), "Accepted") != "" })
	began := time.Now()
	if err := one.stop(); err != nil {
		t.Errorf("one stops with %v", err)
	}
	w.await("two leads", func() bool { return holder() == "two" })
	if took := time.Since(began); took > leaseDuration-time.Second {
		t.Errorf("the Lease was not given up: two took %s", took)
	}
	w.gateway("gw2", "")
	w.await("two works", func() bool { return condition(w.readGateway("gw2"), "Accepted") != "" })
	if one.live() != nil || two.live() != nil {
		t.Errorf("alive: %v, %v", one.live(), two.live())
	}
}

func TestDocumentedRightsSuffice(t *testing.T) {
	w := newWorld(t)
	w.node("ghost1", "10.9.0.1")
	w.pool(`"192.0.2.96"`)
	cert, key := certificate(t, "a.example.com")
	w.Apply(t, fmt.Sprintf("apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {name: cert, namespace: %s}\ndata: {tls.crt: %s, tls.key: %s}\n", w.ns, cert, key))
	w.gateway("gw", "")
	w.Kube(t, "patch", "gateway", "-n", w.ns, "gw", "--type=json", "-p",
		`[{"op":"add","path":"/spec/listeners/-","value":{"name":"tls","port":443,"protocol":"HTTPS","tls":{"certificateRefs":[{"name":"cert"}]}}}]`)
	w.Apply(t, routeYAML(w.ns))
	rights := apiserver.Documented(t, "controller", map[string]string{"sluice-secrets": w.copies, "its own namespace (--namespace)": w.system})
	var log lockedBuffer
	o := w.options(w.As(t, w.ns, rights), "one")
	o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	r := w.start(o)
	w.await("status.Programmed", func() bool { return condition(w.readGateway("gw"), "Programmed") == "True Programmed" })
	w.await("the route's status", func() bool { mine, _ := ours(w.route("cart")); return mine == 1 })
	w.await("the copy", func() bool {
		return len(read[corev1.SecretList](w, "/api/v1/namespaces/"+w.copies+"/secrets").Items) == 1
	})
	w.Kube(t, "delete", "gateway", "-n", w.ns, "gw")
	w.await("all goes", func() bool {
		return w.service("gw-"+w.class) == nil && len(read[corev1.SecretList](w, "/api/v1/namespaces/"+w.copies+"/secrets").Items) == 0 && w.readPool().Status.Assigned == 0
	})
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if log.Len() > 0 {
		t.Errorf("the log complains:\n%s", log.String())
	}
}

func TestTheAPIServerGoesAndComesBack(t *testing.T) {
	w := newWorld(t)
	r := w.run()
	w.gateway("gw", "")
	w.await("accepted", func() bool { return condition(w.readGateway("gw"), "Accepted") == "True Accepted" })
	w.Stop(t)
	t.Cleanup(func() { w.Server.Start(t) })
	err := <-r.done
	r.done <- nil
	if !errors.Is(err, ErrLeadLost) {
		t.Fatalf("a leader without an API server ends with %v", err)
	}
	w.Server.Start(t)
	w.gateway("gw2", "")
	w.start(w.options(w.Config(t), "two"))
	w.await("the next one works", func() bool { return condition(w.readGateway("gw2"), "Accepted") == "True Accepted" })
}
