package controller

import (
	"slices"
	"testing"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func (w *world) readClass() *gatewayv1.GatewayClass {
	return read[gatewayv1.GatewayClass](w, "/apis/gateway.networking.k8s.io/v1/gatewayclasses/"+w.class)
}

// TestClassesTellWhatIsInstalled: a CRD of another release is no longer what
// Sluice knows, and it is so again when that is put right.
func TestClassesTellWhatIsInstalled(t *testing.T) {
	w := newWorld(t)
	const crd, annotation = "tlsroutes.gateway.networking.k8s.io", "gateway.networking.k8s.io/bundle-version"
	was := w.Kube(t, "get", "crd", crd, "-o", `jsonpath={.metadata.annotations.gateway\.networking\.k8s\.io/bundle-version}`)
	w.run()
	says := func(status string, mixed bool) func() bool {
		return func() bool {
			c := w.readClass()
			has := slices.ContainsFunc(c.Status.SupportedFeatures, func(f gatewayv1.SupportedFeature) bool { return f.Name == "TLSRouteModeMixed" })
			for _, x := range c.Status.Conditions {
				if x.Type == string(gatewayv1.GatewayClassConditionStatusSupportedVersion) && string(x.Status) == status {
					return has == mixed
				}
			}
			return false
		}
	}
	w.await("the installed version is known", says("True", true))
	t.Cleanup(func() { w.Kube(t, "annotate", "crd", crd, "--overwrite", annotation+"="+was) })
	w.Kube(t, "annotate", "crd", crd, "--overwrite", annotation+"=v1.5.0")
	w.await("an older one is not", says("False", false))
	w.Kube(t, "annotate", "crd", crd, "--overwrite", annotation+"="+was)
	w.await("the installed version is known again", says("True", true))
}
