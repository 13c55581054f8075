// Package source turns the world into objects: Kubernetes objects of the kinds
// that Sluice reads, each with the place that it came from. The folder reader
// is source/file.
//
// It owns decoding, validation against the kinds' own schemas, and the last
// good state of each object. It must not know what the objects mean: that is
// resolve's.
package source

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"sluice.io/sluice/model"
)

// KubeObject is any decoded object of a registered kind, such as
// *gatewayv1.HTTPRoute or *corev1.Service.
type KubeObject interface {
	runtime.Object
	metav1.Object
}

// Object is one valid object with its provenance. Immutable.
type Object struct {
	KubeObject
	// Origin is the object's own; its Rule is -1.
	Origin model.Origin
	// RuleLines are the 1-based lines where spec.rules[i], or spec.listeners[i] of
	// an object that has those, start, in order; empty when the object has
	// neither, or no file.
	RuleLines []int
}

// ListenerOrigin is the provenance of listener i of the object.
func (o *Object) ListenerOrigin(i int) model.Origin {
	or := o.Origin
	if i < len(o.RuleLines) {
		or.Line = o.RuleLines[i]
	}
	return or
}

// RuleOrigin is the provenance of rule i of the object; name may be empty.
func (o *Object) RuleOrigin(i int, name string) model.Origin {
	or := o.Origin
	or.Rule, or.RuleName = i, name
	if i < len(o.RuleLines) {
		or.Line = o.RuleLines[i]
	}
	return or
}

// Batch is a set of changes that belong together.
type Batch struct {
	// Changed holds the new state of each changed object; nil means removed.
	Changed map[model.ObjectRef]*Object
	// Moved holds the objects of which nothing but the place in the input changed:
	// their KubeObject is the very one that was told before, Origin and RuleLines
	// are new. Adding a line to a file moves all objects below it. No object is
	// in both Changed and Moved.
	Moved map[model.ObjectRef]*Object
	// Problems is the full list of what is wrong with the input now, in order of
	// file and line; nil when it did not change since the last batch, empty when
	// all is well.
	Problems []Problem
}

// Problem is something wrong with the input, for the operator's eyes.
type Problem struct {
	// Object is the zero value when the input could not even be decoded.
	Object model.ObjectRef `json:"object,omitzero"`
	File   string          `json:"file,omitempty"`
	Line   int             `json:"line,omitempty"`
	// Message says what is wrong and what to do.
	Message string `json:"message"`
	// LastGood tells that an earlier, good state of the object keeps serving.
	LastGood bool `json:"lastGood,omitempty"`
	// Absent tells that the object has no good state, and nothing of it is in force.
	Absent bool `json:"absent,omitempty"`
	// Warning tells that nothing is broken, such as for a kind that is not read.
	Warning bool `json:"warning,omitempty"`
}
