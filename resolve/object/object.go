// Package object has what resolve asks of every object: of which kind it is, how
// it is named, which of two came first, and whether its meaning changed.
//
// It must not know what objects mean.
package object

import (
	"sluice.io/sluice/source"
)

// SameSpec tells that nothing but an object's status changed, as it does when a
// controller writes it.
func SameSpec(old, obj *source.Object) bool {
	return obj != nil && obj.GetGeneration() != 0 && obj.GetGeneration() == old.GetGeneration() &&
		obj.GetUID() == old.GetUID() && obj.Origin == old.Origin
}

// As returns an object as one of its kind, and whether there is one.
func As[T any](obj *source.Object) (T, bool) {
	if obj == nil {
		var none T
		return none, false
	}
	o, ok := obj.KubeObject.(T)
	return o, ok
}
