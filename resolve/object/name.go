package object

import (
	"cmp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
)

// Name is the name of a namespaced object whose kind is clear from the context.
type Name struct{ Namespace, Name string }

// String writes namespace/name.
func (n Name) String() string { return n.Namespace + "/" + n.Name }

// Compare orders by namespace, then by name.
func (n Name) Compare(o Name) int {
	return cmp.Or(cmp.Compare(n.Namespace, o.Namespace), cmp.Compare(n.Name, o.Name))
}

// Ref names the object of that name and a kind.
func (n Name) Ref(kind string) model.ObjectRef {
	return model.ObjectRef{Kind: kind, Namespace: n.Namespace, Name: n.Name}
}

// NameOf is the name in a reference.
func NameOf(ref model.ObjectRef) Name { return Name{ref.Namespace, ref.Name} }

// Referred is the name of what an object in namespace own refers to.
func Referred(own string, namespace *gatewayv1.Namespace, n gatewayv1.ObjectName) Name {
	return Name{Namespace: string(ptr.Deref(namespace, gatewayv1.Namespace(own))), Name: string(n)}
}

// Seniority orders objects that want the same thing: the older first, then by
// namespace/name. Objects from files have no age.
type Seniority struct {
	created int64
	// Name is the object's own.
	Name Name
}

// SeniorityOf reads the seniority of an object.
func SeniorityOf(o metav1.Object) Seniority {
	s := Seniority{Name: Name{o.GetNamespace(), o.GetName()}}
	if t := o.GetCreationTimestamp(); !t.IsZero() {
		s.created = t.Unix()
	}
	return s
}

// Compare puts the senior first.
func (s Seniority) Compare(o Seniority) int {
	return cmp.Or(cmp.Compare(s.created, o.created), s.Name.Compare(o.Name))
}
