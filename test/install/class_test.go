package install_test

import (
	"fmt"
	"strings"
	"testing"

	"sluice.io/sluice/test/install"
)

// finalizer is the Gateway API's, on a class that Gateways use.
const finalizer = "gateway-exists-finalizer.gateway.networking.k8s.io"

// classGoes: a class that is deleted while Gateways use it serves on. When somebody
// takes its finalizer away, its Gateways say that nobody serves them, and their
// Services stay; with the next installation all is as before.
func (w *world) classGoes(t *testing.T) {
	const class, service = "gatewayclass/" + install.GatewayClass, "service/front-" + install.GatewayClass
	was := w.kubectl(t, "", "get", service, "-o", "jsonpath={.metadata.uid}")
	held := func() error {
		out, err := w.cluster.Kubectl(w.ctx, "get", class, "-o", "jsonpath={.metadata.finalizers}")
		if err == nil && !strings.Contains(out, finalizer) {
			err = fmt.Errorf("its finalizers are %q", out)
		}
		return err
	}
	eventually(t, "the class to be held", held)
	w.kubectl(t, "", "delete", class, "--wait=false")
	if out := w.kubectl(t, "", "get", class, "-o", "jsonpath={.metadata.deletionTimestamp}"); out == "" {
		t.Error("the class is not being deleted")
	}
	w.routeIsServed(t, "while-class-goes") // the controller and the agents have seen it
	w.answers(t, "/", 200)

	w.kubectl(t, "", "patch", class, "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	for _, kind := range []string{"Accepted", "Programmed"} {
		eventually(t, kind+" to be taken back", func() error {
			return w.condition("gateway/front", ".status", kind, "Unknown Pending")
		})
	}
	if out, err := w.cluster.Kubectl(w.ctx, "get", class); err == nil {
		t.Errorf("the class is there again:\n%s", out)
	}
	if now := w.kubectl(t, "", "get", service, "-o", "jsonpath={.metadata.uid}"); now != was {
		t.Errorf("the Service was %s, now it is %s", was, now)
	}

	w.must(t, w.release.Install(w.ctx))
	w.must(t, w.release.Ready(w.ctx, patience))
	eventually(t, "the class to be held again", held)
	eventually(t, "the Gateway to be programmed again", func() error {
		return w.condition("gateway/front", ".status", "Programmed", "True Programmed")
	})
	w.answers(t, "/", 200)
	if now := w.kubectl(t, "", "get", service, "-o", "jsonpath={.metadata.uid}"); now != was {
		t.Errorf("the Service was %s, now it is %s", was, now)
	}
}
