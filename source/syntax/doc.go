// Package syntax reads text as YAML or JSON: it cuts files into documents,
// parses documents into trees that know their lines, turns trees into plain
// values under the rules that kubectl has, and finds the line of a field.
//
// It owns the bounds on what input may look like (see [MaxDepth] and its
// neighbours), so that no text, however made, costs more than its size warrants
// or ends the program. It must not know any kind of object.
package syntax

import "fmt"

// The bounds on input. What is beyond them is an error that names the bound.
const (
	// MaxDepth is how deep mappings and sequences may nest.
	MaxDepth = 100
	// MaxExpanded is how many values the aliases of one document may stand for,
	// all together.
	MaxExpanded = 100_000
	// MaxDocument is the size of one document, in bytes.
	MaxDocument = 16 << 20
)

// Format is the notation of a text.
type Format int

// The notations.
const (
	YAML Format = iota
	JSON
)

// Error is something wrong with a document, and where.
type Error struct {
	// Line is counted from 1 at the start of the document's text.
	Line int
	// Path is the field concerned, such as spec.rules[0].name; it may be empty.
	Path string
	// Message says what is wrong, without line and path.
	Message string
}

// Error returns the line, path and message.
func (e *Error) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("line %d: %s", e.Line, e.Message)
	}
	return fmt.Sprintf("line %d: %s: %s", e.Line, e.Path, e.Message)
}
