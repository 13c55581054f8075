package resolve

import (
	"cmp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sluice.io/sluice/model"
)

// name is the name of a namespaced object whose kind is clear from the context.
type name struct{ namespace, name string }

func (n name) String() string { return n.namespace + "/" + n.name }

func (n name) compare(o name) int {
	return cmp.Or(cmp.Compare(n.namespace, o.namespace), cmp.Compare(n.name, o.name))
}

func (n name) ref(kind string) model.ObjectRef {
	return model.ObjectRef{Kind: kind, Namespace: n.namespace, Name: n.name}
}

func nameOf(ref model.ObjectRef) name { return name{ref.Namespace, ref.Name} }

// seniority orders objects that want the same thing: the older first, then by
// namespace/name. Objects from files have no age.
type seniority struct {
	created int64
	name    name
}

func seniorityOf(o metav1.Object) seniority {
	s := seniority{name: name{o.GetNamespace(), o.GetName()}}
	if t := o.GetCreationTimestamp(); !t.IsZero() {
		s.created = t.Unix()
	}
	return s
}

func (s seniority) compare(o seniority) int {
	return cmp.Or(cmp.Compare(s.created, o.created), s.name.compare(o.name))
}

// senior puts the older route first, then the first by namespace/name.
func (rt *route) senior(o *route) int { return rt.compare(o.seniority) }

// set is a set of comparable values.
type set[K comparable] map[K]struct{}

func (s set[K]) add(k K) { s[k] = struct{}{} }

func (s set[K]) has(k K) bool { _, ok := s[k]; return ok }

// index maps a key to a set of dependents.
type index[K, V comparable] map[K]set[V]

func (x index[K, V]) add(k K, v V) {
	s := x[k]
	if s == nil {
		s = set[V]{}
		x[k] = s
	}
	s.add(v)
}

func (x index[K, V]) remove(k K, v V) {
	s := x[k]
	delete(s, v)
	if len(s) == 0 {
		delete(x, k)
	}
}
