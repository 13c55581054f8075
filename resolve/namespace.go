package resolve

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/source"
)

// ingestNamespace marks those in the namespace whom its labels let in somewhere.
func (u *round) ingestNamespace(n string, obj *source.Object) {
	was := u.namespaces[n]
	o, ok := object.As[*corev1.Namespace](obj)
	if !ok {
		delete(u.namespaces, n)
	} else {
		u.namespaces[n] = o.Labels
	}
	if maps.Equal(was, u.namespaces[n]) {
		return
	}
	for rt := range u.guestsFrom[n] {
		u.attach.Add(rt)
	}
	for ls := range u.setsIn[n] {
		u.gatewaysTouched.Add(u.listenerSets[ls].Gateway)
	}
}

// labelsOf returns a namespace's labels. Each has its own name as one, also
// where nobody wrote an object for it.
func (r *Resolver) labelsOf(namespace string) labels.Set {
	set := labels.Set{corev1.LabelMetadataName: namespace}
	maps.Copy(set, r.namespaces[namespace])
	set[corev1.LabelMetadataName] = namespace
	return set
}
