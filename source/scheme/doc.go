// Package scheme decodes documents into typed Kubernetes objects of the kinds
// that Sluice reads, as strictly as an API server that refuses unknown fields:
// kinds with a CRD by the CRD's structural schema, defaults and CEL rules;
// built-in kinds by their Go types and the checks of package builtin.
//
// It owns the list of kinds and versions, and the wording of what is wrong with
// an object. It must not know files, nor what objects mean together.
package scheme

import (
	"k8s.io/apimachinery/pkg/runtime"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// Item is what became of one object of a document.
type Item struct {
	// Ref names the object. It is the zero value when not even that could be read.
	Ref model.ObjectRef
	// About names what the findings are about: Ref, or what an object that is not
	// read, or has no valid name, calls itself. Zero when it does not say.
	About model.ObjectRef
	// Line is where the object starts, counted from 1 at the document's start.
	Line int
	// Object is nil when the object is ignored, or broken by its schema. One that
	// Check refused is there, and Broken.
	Object source.KubeObject
	// RuleLines are the lines where spec.rules[i] start, counted like Line.
	RuleLines []int
	// Findings say what is wrong, in order of their lines.
	Findings []Finding
	// Digest is the same for the same content of an item of a List, whatever its
	// lines; zero elsewhere, and where it is not known.
	Digest uint64
}

// Broken reports whether the object is not as it should be.
func (it *Item) Broken() bool {
	for i := range it.Findings {
		if !it.Findings[i].Warning {
			return true
		}
	}
	return false
}

// Finding is one thing that is wrong with an object.
type Finding struct {
	// Line is counted from 1 at the document's start.
	Line int
	// Message names the field, what is wrong with it, and what to do.
	Message string
	// Warning tells that the object is usable, or of no concern.
	Warning bool
}

// fault is something wrong with a field, before its line is looked up.
type fault struct {
	path, message string
}

// unstructured is an object as decoded from JSON.
type unstructured = map[string]any

// typed fills obj from the unstructured form, which has been validated.
func typed(u unstructured, obj source.KubeObject) error {
	return runtime.DefaultUnstructuredConverter.FromUnstructured(u, obj)
}
