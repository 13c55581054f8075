package main

import (
	"strconv"

	"sluice.io/sluice/model"
)

// statement is one condition of an object, for one of its parents or for itself.
type statement struct {
	model.Condition
	origin model.Origin
	parent string // with its port; empty for the object itself
}

func statements(objects []*model.Status) []statement {
	var all []statement
	for _, o := range objects {
		for _, c := range o.Conditions {
			all = append(all, statement{c, o.Origin, ""})
		}
		for _, p := range o.Parents {
			parent := p.Parent.String()
			if p.Port != 0 {
				parent += ":" + strconv.Itoa(int(p.Port))
			}
			for _, c := range p.Conditions {
				all = append(all, statement{c, o.Origin, parent})
			}
		}
	}
	return all
}

// troubled are the statements of what is not as a user would wish.
func troubled(objects []*model.Status) []statement {
	var bad []statement
	for _, s := range statements(objects) {
		if s.Troubling() {
			bad = append(bad, s)
		}
	}
	return bad
}

func (s statement) status() string {
	if s.Status {
		return "True"
	}
	return "False"
}

func (s statement) place() string { return s.origin.Position() + " " + s.origin.Object.String() }

func (s statement) text() string {
	text := s.Type + " " + s.status() + ", " + s.Reason + ": " + s.Message
	if s.parent != "" {
		text = "on " + s.parent + ": " + text
	}
	return text
}
