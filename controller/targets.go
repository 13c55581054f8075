package controller

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
)

// learnTargets notes which ports of the nodes a Service has. What its status says
// counts, which nobody writes but the controller, and whatever else was done to
// the Service: agents believe it, too. Of Gateways that are gone nothing is kept.
func (t *term) learnTargets(was, svc *corev1.Service) {
	if gw, _, ok := allotted(was); ok {
		t.dirty[gw] = true
	}
	gw, ports, ok := allotted(svc)
	if !ok {
		return
	}
	t.dirty[gw] = true
	for _, p := range ports {
		t.ports.learn(model.PortKey{Gateway: gw, Port: p.Port, Protocol: model.Protocol(p.Protocol)}, p.Target)
	}
}

// allotted is what a Service's status says of targets, and of which Gateway.
func allotted(svc *corev1.Service) (model.GatewayKey, []v1alpha1.TargetPort, bool) {
	c := targetsIn(svc)
	if c == nil {
		return model.GatewayKey{}, nil, false
	}
	said, ok := v1alpha1.ParseTargets(c.Message)
	return model.GatewayKey{Namespace: svc.Namespace, Name: said.Gateway}, said.Ports, ok
}

// targetsIn is the condition in which targets are said; nil when there is none.
func targetsIn(svc *corev1.Service) *metav1.Condition {
	if svc == nil {
		return nil
	}
	for i := range svc.Status.Conditions {
		if svc.Status.Conditions[i].Type == v1alpha1.ServiceConditionTargets {
			return &svc.Status.Conditions[i]
		}
	}
	return nil
}

// targetsSaid is the condition that a Gateway's Service should have.
func targetsSaid(gateway string, ports []servicePort, live *corev1.Service) []metav1.Condition {
	said := v1alpha1.Targets{Gateway: gateway}
	for _, p := range ports {
		said.Ports = append(said.Ports, v1alpha1.TargetPort{Port: p.key.Port, Protocol: string(p.key.Protocol), Target: p.target})
	}
	c := metav1.Condition{
		Type: v1alpha1.ServiceConditionTargets, Status: metav1.ConditionTrue, Reason: v1alpha1.ServiceReasonAllotted,
		Message: said.String(), LastTransitionTime: live.CreationTimestamp, // it has been true ever since
	}
	return []metav1.Condition{c}
}

// statusOf is what we write of a Service's status, as the API server has it.
func statusOf(svc *corev1.Service) json.RawMessage {
	var ingress []corev1.LoadBalancerIngress
	if c := svc.Spec.LoadBalancerClass; c != nil && *c == poolClass {
		ingress = append([]corev1.LoadBalancerIngress{}, svc.Status.LoadBalancer.Ingress...)
	}
	var conditions []metav1.Condition
	if c := targetsIn(svc); c != nil {
		conditions = []metav1.Condition{*c}
	}
	return serviceStatus(ingress, conditions)
}

// serviceStatus is a Service's status as we write it: addresses, unless they are
// nil and so a load balancer's to write, and our condition.
func serviceStatus(ingress []corev1.LoadBalancerIngress, conditions []metav1.Condition) json.RawMessage {
	status := map[string]any{}
	if ingress != nil {
		status["loadBalancer"] = map[string]any{"ingress": ingress}
	}
	if conditions != nil {
		status["conditions"] = conditions
	}
	text, err := json.Marshal(status)
	if err != nil {
		return nil // strings: it cannot be
	}
	return text
}
