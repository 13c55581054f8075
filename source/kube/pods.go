package kube

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// MeshLabel on a namespace or a pod takes pods into the mesh, or keeps a pod out.
const MeshLabel = "sluice.io/mesh"

// The values of MeshLabel.
const (
	MeshEnabled  = "enabled"
	MeshDisabled = "disabled"
)

// pods makes Workloads of pods.
type pods struct {
	cgroup     func(uid string, class QoS) string
	pods       map[model.ObjectRef]*corev1.Pod
	of         map[string]map[model.ObjectRef]bool // namespace -> its pods
	namespaces map[string]string                   // namespace -> value of MeshLabel
	made       map[model.ObjectRef]*source.Object  // by the pod
	due        map[model.ObjectRef]bool            // pods to look at
}

func newPods(cgroup func(string, QoS) string) *pods {
	if cgroup == nil {
		cgroup = func(uid string, _ QoS) string { return "pod" + uid }
	}
	return &pods{
		cgroup: cgroup, pods: map[model.ObjectRef]*corev1.Pod{}, of: map[string]map[model.ObjectRef]bool{},
		namespaces: map[string]string{}, made: map[model.ObjectRef]*source.Object{}, due: map[model.ObjectRef]bool{},
	}
}

func (p *pods) pod(ref model.ObjectRef, obj source.KubeObject) {
	p.due[ref] = true
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		delete(p.pods, ref)
		if delete(p.of[ref.Namespace], ref); len(p.of[ref.Namespace]) == 0 {
			delete(p.of, ref.Namespace)
		}
		return
	}
	p.pods[ref] = pod
	if p.of[ref.Namespace] == nil {
		p.of[ref.Namespace] = map[model.ObjectRef]bool{}
	}
	p.of[ref.Namespace][ref] = true
}

func (p *pods) namespace(ref model.ObjectRef, obj source.KubeObject) {
	value := ""
	if obj != nil {
		value = obj.GetLabels()[MeshLabel]
	}
	if p.namespaces[ref.Name] == value {
		return
	}
	if value == "" {
		delete(p.namespaces, ref.Name)
	} else {
		p.namespaces[ref.Name] = value
	}
	for pod := range p.of[ref.Name] {
		p.due[pod] = true
	}
}

// changes makes Workloads of the pods that changed.
func (p *pods) changes() map[model.ObjectRef]*source.Object {
	out := map[model.ObjectRef]*source.Object{}
	for ref := range p.due {
		made := p.workload(ref)
		if made == nil && p.made[ref] == nil {
			continue
		}
		out[model.ObjectRef{Kind: kindWorkload, Namespace: ref.Namespace, Name: ref.Name}] = made
		if made == nil {
			delete(p.made, ref)
		} else {
			p.made[ref] = made
		}
	}
	clear(p.due)
	return out
}

// workload is a pod in the words of the mesh; nil when it is not in the mesh.
func (p *pods) workload(ref model.ObjectRef) *source.Object {
	pod := p.pods[ref]
	if pod == nil || !p.meshed(pod) {
		return nil
	}
	cgroup := p.cgroup(string(pod.UID), QoS(pod.Status.QOSClass))
	w := &v1alpha1.Workload{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, Labels: pod.Labels, CreationTimestamp: pod.CreationTimestamp,
		},
		Spec: v1alpha1.WorkloadSpec{ServiceAccount: pod.Spec.ServiceAccountName, Cgroup: &cgroup},
	}
	for _, ip := range pod.Status.PodIPs {
		w.Spec.Addresses = append(w.Spec.Addresses, v1alpha1.IPAddress(ip.IP))
	}
	return objectOf(ref, w)
}

// meshed tells whether a pod's connections are Sluice's concern. One that uses
// the node's network is not: its sockets cannot be told from the node's own.
func (p *pods) meshed(pod *corev1.Pod) bool {
	if pod.Spec.HostNetwork || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return false
	}
	switch pod.Labels[MeshLabel] {
	case MeshEnabled:
		return true
	case MeshDisabled:
		return false
	}
	return p.namespaces[pod.Namespace] == MeshEnabled
}
