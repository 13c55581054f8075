package gateway

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/resolve/finding"
)

// Labels tells the labels of a namespace.
type Labels func(namespace string) labels.Set

// doorway says which namespaces may come in.
type doorway struct {
	from     gatewayv1.FromNamespaces
	selector labels.Selector
}

// newdoorway reads where from; an unreadable selector is told, and lets nobody in.
func newdoorway(from *gatewayv1.FromNamespaces, otherwise gatewayv1.FromNamespaces, selector *metav1.LabelSelector) (doorway, *finding.Finding) {
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

// admits reports whether an object of a namespace may come in to one of another,
// given the namespaces' labels.
func (d doorway) admits(own, guest string, labelsOf Labels) bool {
	switch d.from {
	case gatewayv1.NamespacesFromAll:
		return true
	case gatewayv1.NamespacesFromSame:
		return own == guest
	case gatewayv1.NamespacesFromSelector:
		return d.selector.Matches(labelsOf(guest))
	}
	return false
}

func (d doorway) String() string {
	if d.selector != nil {
		return string(d.from) + " " + d.selector.String()
	}
	return string(d.from)
}
