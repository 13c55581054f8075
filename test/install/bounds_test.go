package install_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/test/install"
)

// controllerIsBounded: what RBAC cannot refuse the controller's account, the policy that
// was installed does. Requests are only looked at.
func (w *world) controllerIsBounded(t *testing.T) {
	config, err := clientcmd.BuildConfigFromFlags("", w.cluster.Kubeconfig())
	w.must(t, err)
	config.Dial = w.cluster.Control().DialContext
	config.Impersonate.UserName = "system:serviceaccount:" + install.Namespace + ":sluice-controller"
	client, err := dynamic.NewForConfig(config)
	w.must(t, err)
	dryRun := []string{metav1.DryRunAll}
	services := client.Resource(corev1.SchemeGroupVersion.WithResource("services")).Namespace("default")
	if err := services.Delete(w.ctx, "kubernetes", metav1.DeleteOptions{DryRun: dryRun}); !apierrors.IsForbidden(err) {
		t.Errorf("the controller may remove a Service that is not its own: %v", err)
	}
	classes := client.Resource(schema.GroupVersion(gatewayv1.GroupVersion).WithResource("gatewayclasses"))
	for _, patch := range []string{`{"spec":{"description":"x"}}`, `{"metadata":{"labels":{"a":"b"}}}`} {
		if _, err := classes.Patch(w.ctx, install.GatewayClass, types.MergePatchType, []byte(patch), metav1.PatchOptions{DryRun: dryRun}); !apierrors.IsForbidden(err) {
			t.Errorf("the controller may change GatewayClass %s by %s: %v", install.GatewayClass, patch, err)
		}
	}
}
