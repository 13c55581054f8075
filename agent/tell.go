package agent

import (
	"context"
	"log/slog"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// maxTold bounds how many lines one change writes to the log; `sluice status`
// has them all.
const maxTold = 50

// tellProblems logs what is new among the problems of the input, and that
// others are solved.
func (a *Agent) tellProblems(was, now []source.Problem) {
	old := map[source.Problem]bool{}
	for _, p := range was {
		old[unplaced(p)] = true
	}
	lines := lines{log: a.log}
	for _, p := range now {
		key := unplaced(p)
		if old[key] {
			delete(old, key)
			continue
		}
		lines.add(slog.LevelWarn, "problem of the input", "file", p.File, "line", p.Line, "object", objectName(p.Object), "problem", p.Message, "last-good-serves", p.LastGood)
	}
	for p := range old {
		lines.add(slog.LevelInfo, "a problem of the input is solved", "file", p.File, "object", objectName(p.Object), "problem", p.Message)
	}
	lines.end()
}

// unplaced is a problem without its line: one that moved is not new.
func unplaced(p source.Problem) source.Problem {
	p.Line = 0
	return p
}

// tellConditions logs what is new among the conditions that are not as a user
// would wish, and that others hold again.
func (a *Agent) tellConditions(was, now map[model.ObjectRef]*model.Status) {
	lines := lines{log: a.log}
	for ref, st := range now {
		old := troubles(was[ref])
		for at, c := range troubles(st) {
			if o, ok := old[at]; !ok || o.Reason != c.Reason {
				lines.add(slog.LevelWarn, "condition", "object", ref.String(), "where", st.Origin.Position(), "parent", objectName(at.parent),
					"type", c.Type, "status", c.Status, "reason", c.Reason, "message", c.Message)
			}
			delete(old, at)
		}
		for at, c := range old {
			lines.add(slog.LevelInfo, "a condition is well again", "object", ref.String(), "parent", objectName(at.parent), "type", c.Type)
		}
	}
	lines.end()
}

// objectName is empty for what is no object.
func objectName(ref model.ObjectRef) string {
	if ref == (model.ObjectRef{}) {
		return ""
	}
	return ref.String()
}

// conditionPlace tells the conditions of one object apart.
type conditionPlace struct {
	parent model.ObjectRef
	port   uint16
	kind   string
}

func troubles(st *model.Status) map[conditionPlace]model.Condition {
	if st == nil {
		return nil
	}
	all := map[conditionPlace]model.Condition{}
	for _, c := range st.Conditions {
		if c.Troubling() {
			all[conditionPlace{kind: c.Type}] = c
		}
	}
	for _, p := range st.Parents {
		for _, c := range p.Conditions {
			if c.Troubling() {
				all[conditionPlace{p.Parent, p.Port, c.Type}] = c
			}
		}
	}
	return all
}

// lines writes a bounded number of lines.
type lines struct {
	log *slog.Logger
	n   int
}

func (l *lines) add(level slog.Level, message string, args ...any) {
	if l.n++; l.n <= maxTold {
		l.log.Log(context.Background(), level, message, args...)
	}
}

func (l *lines) end() {
	if l.n > maxTold {
		l.log.Warn("more than the log is told; see `sluice status`", "left-out", l.n-maxTold)
	}
}
