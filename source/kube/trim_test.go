package kube

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sluice.io/sluice/crds/v1alpha1"
)

// TestWhatIsReadOfAServicesStatusStays: agents believe the condition that says a
// Gateway's targets, and others' conditions are nobody's concern.
func TestWhatIsReadOfAServicesStatusStays(t *testing.T) {
	svc := &corev1.Service{}
	svc.Spec.Selector = map[string]string{"app": "web"}
	svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}
	svc.Status.Conditions = []metav1.Condition{{Type: "Theirs"}, {Type: v1alpha1.ServiceConditionTargets, Message: "Gateway web: 80/TCP=20001"}}
	for range 2 {
		trimService(false)(svc)
		if c := svc.Status.Conditions; len(c) != 1 || c[0].Type != v1alpha1.ServiceConditionTargets || len(svc.Status.LoadBalancer.Ingress) != 1 || svc.Spec.Selector != nil {
			t.Errorf("it is %+v", svc)
		}
	}
}
