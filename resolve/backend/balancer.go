package backend

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/source"
)

// Balancer is the Gateway that a Service stands before, and the ports at which it
// dials the nodes.
type Balancer struct {
	Gateway object.Name
	Targets map[PortKey]uint16
}

// readBalancer reads what a Service is for a Gateway; the zero value when it is for
// none. In a cluster the controller's word counts, which is in the status: whoever
// may make Services must not get at another Gateway's ports of the nodes by that.
// In a folder there is no controller, and one hand writes all: the label counts,
// and the Service's own ports.
func readBalancer(svc *corev1.Service, obj *source.Object) Balancer {
	if obj.Origin.File == "" {
		return allotted(svc)
	}
	gw := svc.Labels[gatewayv1.GatewayNameLabelKey]
	if gw == "" || svc.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return Balancer{}
	}
	b := Balancer{object.Name{Namespace: svc.Namespace, Name: gw}, map[PortKey]uint16{}}
	for _, p := range svc.Spec.Ports {
		if p.TargetPort.Type == intstr.Int {
			b.add(p.Port, string(p.Protocol), p.TargetPort.IntVal)
		}
	}
	return b
}

// allotted reads the controller's word.
func allotted(svc *corev1.Service) Balancer {
	for _, c := range svc.Status.Conditions {
		if c.Type != v1alpha1.ServiceConditionTargets {
			continue
		}
		t, ok := v1alpha1.ParseTargets(c.Message)
		if !ok {
			return Balancer{}
		}
		b := Balancer{object.Name{Namespace: svc.Namespace, Name: t.Gateway}, map[PortKey]uint16{}}
		for _, p := range t.Ports {
			b.add(int32(p.Port), p.Protocol, int32(p.Target))
		}
		return b
	}
	return Balancer{}
}

// add notes a target, if it is of those that are set aside for gateways: others
// are the nodes' own, such as a kubelet's.
func (b Balancer) add(port int32, protocol string, target int32) {
	k := PortKey{uint16(port), model.TCP}
	if protocol == string(corev1.ProtocolUDP) {
		k.Protocol = model.UDP
	}
	if target >= model.FirstTarget && target <= model.LastTarget {
		b.Targets[k] = uint16(target)
	}
}
