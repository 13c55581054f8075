package resolve

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"sluice.io/sluice/model"
)

// TestNobodyTakesOtherPortsOfNodes: a Service with a Gateway's label names the
// kubelet's port, and others that are not set aside for gateways.
func TestNobodyTakesOtherPortsOfNodes(t *testing.T) {
	svc := &corev1.Service{}
	for port, target := range map[int32]int32{80: 20001, 81: 10250, 82: 6443, 83: 19999, 84: 29999, 85: 30000, 86: 0, 87: -1, 88: 86_000} {
		svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Port: port, TargetPort: intstr.FromInt32(target)})
	}
	got := targetsOf(svc)
	if len(got) != 2 || got[portKey{80, model.TCP}] != 20001 || got[portKey{84, model.TCP}] != 29999 {
		t.Errorf("targets %v", got)
	}
}
