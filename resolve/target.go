package resolve

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/source"
)

// balancer is the Gateway that a Service stands before, and the ports at which it
// dials the nodes.
type balancer struct {
	gateway object.Name
	targets map[portKey]uint16
}

// readBalancer reads what a Service is for a Gateway; the zero value when it is for
// none. In a cluster the controller's word counts, which is in the status: whoever
// may make Services must not get at another Gateway's ports of the nodes by that.
// In a folder there is no controller, and one hand writes all: the label counts,
// and the Service's own ports.
func readBalancer(svc *corev1.Service, obj *source.Object) balancer {
	if obj.Origin.File == "" {
		return allotted(svc)
	}
	gw := svc.Labels[gatewayv1.GatewayNameLabelKey]
	if gw == "" || svc.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return balancer{}
	}
	b := balancer{object.Name{Namespace: svc.Namespace, Name: gw}, map[portKey]uint16{}}
	for _, p := range svc.Spec.Ports {
		if p.TargetPort.Type == intstr.Int {
			b.add(p.Port, string(p.Protocol), p.TargetPort.IntVal)
		}
	}
	return b
}

// allotted reads the controller's word.
func allotted(svc *corev1.Service) balancer {
	for _, c := range svc.Status.Conditions {
		if c.Type != v1alpha1.ServiceConditionTargets {
			continue
		}
		t, ok := v1alpha1.ParseTargets(c.Message)
		if !ok {
			return balancer{}
		}
		b := balancer{object.Name{Namespace: svc.Namespace, Name: t.Gateway}, map[portKey]uint16{}}
		for _, p := range t.Ports {
			b.add(int32(p.Port), p.Protocol, int32(p.Target))
		}
		return b
	}
	return balancer{}
}

// add notes a target, if it is of those that are set aside for gateways: others
// are the nodes' own, such as a kubelet's.
func (b balancer) add(port int32, protocol string, target int32) {
	k := portKey{uint16(port), model.TCP}
	if protocol == string(corev1.ProtocolUDP) {
		k.protocol = model.UDP
	}
	if target >= model.FirstTarget && target <= model.LastTarget {
		b.targets[k] = uint16(target)
	}
}

// wanted returns the port of the nodes that the oldest of a gateway's Services has
// for one of its ports; zero when there is none.
func (r *Resolver) wanted(k model.PortKey) uint16 {
	var first *service
	for n := range r.balancers[gatewayName(k)] {
		if s := r.services[n]; first == nil || s.Compare(first.Seniority) < 0 {
			first = s
		}
	}
	if first == nil {
		return 0
	}
	return first.targets[portKey{k.Port, k.Protocol}]
}

// target returns the port at which a load balancer dials the nodes for a
// gateway's port; zero when there is none, or when it is another's.
func (r *Resolver) target(k model.PortKey) uint16 {
	t := r.wanted(k)
	if t == 0 || r.portHolders[portClaim{port: t, protocol: k.Protocol}] != gatewayName(k) || r.doubled(k, t) {
		return 0
	}
	return t
}

// doubled tells that an earlier port of the same gateway has a port of the nodes.
func (r *Resolver) doubled(k model.PortKey, target uint16) bool {
	f := r.frames[gatewayName(k)]
	for o := range f.ports {
		if o == k || o.Protocol != k.Protocol {
			continue
		}
		if o.Port == target && f.anywhere() || r.wanted(o) == target && model.ComparePorts(o, k) < 0 {
			return true
		}
	}
	return false
}

func gatewayName(k model.PortKey) object.Name {
	return object.Name{Namespace: k.Gateway.Namespace, Name: k.Gateway.Name}
}
