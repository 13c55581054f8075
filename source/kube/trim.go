package kube

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/gateway-api/pkg/consts"

	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/source"
)

// trimmed drops from an object, in place, what nobody reads. What is left is
// all that is held in memory, and all whose change is told. It can be done twice.
func trimmed(k *kind, obj source.KubeObject) {
	obj.SetManagedFields(nil)
	if k.name != kindGatewayClass { // which has one of ours
		obj.SetFinalizers(nil)
	}
	obj.SetSelfLink("")
	obj.SetGenerateName("")
	if a := obj.GetAnnotations(); a[corev1.LastAppliedConfigAnnotation] != "" {
		delete(a, corev1.LastAppliedConfigAnnotation)
	}
	if k.trim != nil {
		k.trim(obj)
	}
}

// bare is a trimmed object as resolve gets it: without the status that Sluice
// writes, and without what changes with each write.
func bare(k *kind, obj source.KubeObject, shared bool) source.KubeObject {
	if shared {
		obj = obj.DeepCopyObject().(source.KubeObject)
	}
	if k.bare != nil {
		k.bare(obj)
	}
	if !k.metadata {
		obj.SetResourceVersion("")
	}
	obj.SetOwnerReferences(nil)
	return obj
}

// trimService leaves the selector to the one that makes Services, to see that it
// was changed.
func trimService(selector bool) func(*corev1.Service) {
	return func(s *corev1.Service) {
		if !selector {
			s.Spec.Selector = nil
		}
		conditions := slices.DeleteFunc(s.Status.Conditions, func(c metav1.Condition) bool { return c.Type != v1alpha1.ServiceConditionTargets })
		s.Status = corev1.ServiceStatus{LoadBalancer: s.Status.LoadBalancer, Conditions: slices.Clip(conditions)}
	}
}

func trimEndpointSlice(s *discoveryv1.EndpointSlice) {
	delete(s.Annotations, corev1.EndpointsLastChangeTriggerTime)
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		e.DeprecatedTopology, e.Hostname = nil, nil
		if t := e.TargetRef; t != nil {
			e.TargetRef = &corev1.ObjectReference{Kind: t.Kind, Namespace: t.Namespace, Name: t.Name}
		}
	}
}

func trimNamespace(n *corev1.Namespace) {
	n.Annotations = nil
	n.Spec, n.Status = corev1.NamespaceSpec{}, corev1.NamespaceStatus{}
}

// trimPod leaves what makes a pod a Workload.
func trimPod(p *corev1.Pod) {
	p.Annotations = nil
	p.Spec = corev1.PodSpec{NodeName: p.Spec.NodeName, HostNetwork: p.Spec.HostNetwork, ServiceAccountName: p.Spec.ServiceAccountName}
	p.Status = corev1.PodStatus{Phase: p.Status.Phase, QOSClass: p.Status.QOSClass, PodIPs: p.Status.PodIPs}
}

// trimServing leaves of a pod that serves where it is and whether it is ready.
func trimServing(p *corev1.Pod) {
	conditions := p.Status.Conditions
	trimPod(p)
	p.Labels = nil
	for _, c := range conditions {
		if c.Type == corev1.PodReady {
			p.Status.Conditions = []corev1.PodCondition{{Type: c.Type, Status: c.Status}}
		}
	}
}

// trimNode leaves a node's labels.
func trimNode(m *metav1.PartialObjectMetadata) {
	m.ObjectMeta = metav1.ObjectMeta{Name: m.Name, UID: m.UID, Labels: m.Labels}
}

// trimDefinition leaves of a kind's definition its release and channel.
func trimDefinition(m *metav1.PartialObjectMetadata) {
	kept := metav1.ObjectMeta{Name: m.Name, UID: m.UID}
	for _, a := range []string{consts.BundleVersionAnnotation, consts.ChannelAnnotation} {
		if v := m.Annotations[a]; v != "" {
			metav1.SetMetaDataAnnotation(&kept, a, v)
		}
	}
	m.ObjectMeta = kept
}

// trimDocument leaves enough to find a Secret or ConfigMap, to see it change, and
// to know a copy.
func trimDocument(m *metav1.PartialObjectMetadata) {
	kept := metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion}
	if from := m.Annotations[CopiedFrom]; from != "" {
		kept.Annotations = m.Annotations
	}
	m.ObjectMeta = kept
}
