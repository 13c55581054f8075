package backend

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/source"
)

// TestNobodyTakesOtherPortsOfNodes: a Service that stands before a Gateway names the
// kubelet's port, and others that are not set aside for gateways.
func TestNobodyTakesOtherPortsOfNodes(t *testing.T) {
	svc := &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer}}
	svc.Labels = map[string]string{gatewayv1.GatewayNameLabelKey: "web"}
	for port, target := range map[int32]int32{80: 20001, 81: 10250, 82: 6443, 83: 19999, 84: 29999, 85: 30000, 86: 0, 87: -1, 88: 86_000} {
		svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Port: port, TargetPort: intstr.FromInt32(target)})
	}
	alone := &source.Object{Origin: model.Origin{File: "a.yaml"}}
	got := readBalancer(svc, alone).Targets
	if len(got) != 2 || got[PortKey{80, model.TCP}] != 20001 || got[PortKey{84, model.TCP}] != 29999 {
		t.Errorf("targets %v", got)
	}
	if got := readBalancer(svc, &source.Object{}); got.Targets != nil || got.Gateway != (object.Name{}) {
		t.Errorf("in a cluster, a Service that the controller said nothing of is %+v, want nothing", got)
	}
	said := v1alpha1.Targets{Gateway: "web", Ports: []v1alpha1.TargetPort{{Port: 80, Protocol: "TCP", Target: 20001}, {Port: 81, Protocol: "TCP", Target: 10250}}}
	svc.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ServiceConditionTargets, Message: said.String()}}
	if got := readBalancer(svc, &source.Object{}).Targets; len(got) != 1 || got[PortKey{80, model.TCP}] != 20001 {
		t.Errorf("targets %v, want those that are set aside", got)
	}
	svc.Status.Conditions[0].Message = "Gateway other: 80/TCP=nothing"
	if got := readBalancer(svc, &source.Object{}); got.Gateway != (object.Name{}) {
		t.Errorf("a word that is not understood counts as %+v", got)
	}
}
