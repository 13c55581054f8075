package model

import (
	"cmp"
	"fmt"
)

// ObjectRef names one object of the outside world, such as HTTPRoute
// shop/cart. It is comparable, and the zero value names nothing.
type ObjectRef struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// String returns Kind namespace/name, the form used in messages to operators.
func (r ObjectRef) String() string {
	if r.Namespace == "" {
		return r.Kind + " " + r.Name
	}
	return r.Kind + " " + r.Namespace + "/" + r.Name
}

// CompareRefs orders references by kind, namespace and name.
func CompareRefs(a, b ObjectRef) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// Origin is the provenance of a model object: the object, and where given the
// rule of it, that it was made from.
type Origin struct {
	Object ObjectRef `json:"object"`
	// Rule is the index of the rule in the object, or -1 when the whole object
	// is meant.
	Rule int `json:"rule"`
	// RuleName is the rule's own name, when it has one.
	RuleName string `json:"ruleName,omitempty"`
	// File is the path of the file that holds the object; empty when the object
	// came from an API server.
	File string `json:"file,omitempty"`
	// Line is the 1-based line in File where the object or the rule starts.
	Line int `json:"line,omitempty"`
}

// String returns the form used in messages to operators, such as
// "HTTPRoute shop/cart rule 2 (cart.yaml:17)".
func (o Origin) String() string {
	s := o.Object.String()
	switch {
	case o.RuleName != "":
		s += fmt.Sprintf(" rule %q", o.RuleName)
	case o.Rule >= 0:
		s += fmt.Sprintf(" rule %d", o.Rule)
	}
	if p := o.Position(); p != "" {
		s += " (" + p + ")"
	}
	return s
}

// Position returns file:line, or the empty string when there is no file.
func (o Origin) Position() string {
	if o.File == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d", o.File, o.Line)
}
