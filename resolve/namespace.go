package resolve

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/resolve/finding"
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
		u.gatewaysTouched.Add(u.listenerSets[ls].gateway)
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

// doorway says which namespaces may come in.
type doorway struct {
	from     gatewayv1.FromNamespaces
	selector labels.Selector
}

// newDoorway reads where from; an unreadable selector is told, and lets nobody in.
func newDoorway(from *gatewayv1.FromNamespaces, otherwise gatewayv1.FromNamespaces, selector *metav1.LabelSelector) (doorway, *finding.Finding) {
	d := doorway{from: ptr.Deref(from, otherwise)}
	switch d.from {
	case gatewayv1.NamespacesFromAll, gatewayv1.NamespacesFromSame, gatewayv1.NamespacesFromNone:
		return d, nil
	case gatewayv1.NamespacesFromSelector:
		s, err := metav1.LabelSelectorAsSelector(selector)
		if err != nil {
			return doorway{from: gatewayv1.NamespacesFromNone}, finding.Unsupported("the namespace selector cannot be read: %v", err)
		}
		d.selector = s
		return d, nil
	}
	return doorway{from: gatewayv1.NamespacesFromNone}, finding.Unsupported("namespaces.from %q is not known", d.from)
}

// admits reports whether an object of a namespace may come in to one of another.
func (r *Resolver) admits(d doorway, own, guest string) bool {
	switch d.from {
	case gatewayv1.NamespacesFromAll:
		return true
	case gatewayv1.NamespacesFromSame:
		return own == guest
	case gatewayv1.NamespacesFromSelector:
		return d.selector.Matches(r.labelsOf(guest))
	}
	return false
}

func (d doorway) String() string {
	if d.selector != nil {
		return string(d.from) + " " + d.selector.String()
	}
	return string(d.from)
}
