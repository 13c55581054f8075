package main

import (
	"strconv"
	"strings"

	"sluice.io/sluice/model"
	"sluice.io/sluice/observe/gateways"
)

// statement is one condition of an object, for one of its parents or for itself.
type statement struct {
	model.Condition
	origin model.Origin
	parent string // with its port, or a listener; empty for the object itself
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

// troubled are the statements of what is not as a user would wish: of a listener
// the one that says why.
func troubled(objects []*model.Status) []statement {
	var bad []statement
	for _, s := range statements(objects) {
		if s.Troubling() {
			bad = append(bad, s)
		}
	}
	for _, o := range objects {
		for i := range o.Listeners {
			if s, ok := listenerTrouble(o, &o.Listeners[i]); ok {
				bad = append(bad, s)
			}
		}
	}
	return bad
}

// listenerTrouble is what is wrong with a listener that is not so with the whole
// of its Gateway.
func listenerTrouble(o *model.Status, l *model.ListenerStatus) (statement, bool) {
	_, why := gateways.Programmed(l.Conditions)
	if why == nil {
		return statement{}, false
	}
	for _, c := range o.Conditions {
		if c.Troubling() && c.Reason == why.Reason && c.Message == why.Message {
			return statement{}, false
		}
	}
	origin := l.Origin
	if origin.Object == (model.ObjectRef{}) {
		origin = o.Origin
	}
	return statement{*why, origin, "listener " + l.Name}, true
}

func (s statement) status() string {
	if s.Status {
		return "True"
	}
	return "False"
}

func (s statement) place() string {
	return strings.TrimSpace(s.origin.Position() + " " + s.origin.Object.String())
}

func (s statement) text() string {
	text := s.Type + " " + s.status() + ", " + s.Reason + ": " + s.Message
	if s.parent != "" {
		text = "on " + s.parent + ": " + text
	}
	return text
}
