package install_test

import (
	"strings"
	"testing"

	"sluice.io/sluice/test/install"
)

// noEnvoy: a Gateway that no node serves says so, and is programmed again when one
// does.
func (w *world) noEnvoy(t *testing.T) {
	programmed := func(field string) string {
		return `{.status.conditions[?(@.type=="Programmed")].` + field + `}`
	}
	w.kubectl(t, "", "-n", install.Namespace, "patch", "daemonset", "sluice-envoy", "--type=merge", "-p",
		`{"spec":{"template":{"spec":{"nodeSelector":{"example.com/envoy":"nowhere"}}}}}`)
	w.kubectl(t, "", "wait", "gateway/front", "--timeout", patience.String(), "--for=jsonpath="+programmed("reason")+"=Pending")
	if out := w.kubectl(t, "", "get", "gateway", "front", "-o", "jsonpath="+programmed("status")+" "+programmed("message")); out != "False no node's Envoy is ready" {
		t.Errorf("Programmed is %s", out)
	}
	if out := w.kubectl(t, "", "get", "gateway", "front", "-o", "jsonpath={.status.listeners[*].conditions[?(@.type==\"Programmed\")].status}"); strings.Contains(out, "True") {
		t.Errorf("Programmed of the listeners is %s", out)
	}
	w.kubectl(t, "", "-n", install.Namespace, "patch", "daemonset", "sluice-envoy", "--type=json", "-p",
		`[{"op":"remove","path":"/spec/template/spec/nodeSelector/example.com~1envoy"}]`)
	w.must(t, w.release.Ready(w.ctx, patience))
	w.kubectl(t, "", "wait", "gateway/front", "--timeout", patience.String(), "--for=jsonpath="+programmed("status")+"=True")
	w.answers(t, "/", 200)
}
