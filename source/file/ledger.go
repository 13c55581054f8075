package file

import (
	"cmp"
	"log/slog"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
	"sluice.io/sluice/source/scheme"
)

// ledger holds which documents define which object, and what is served of it.
// An object is served from its first definition, by file and line; while that is
// broken, from its last good state. A refused definition, which has an object and
// is broken nevertheless, is served when there is no good one.
type ledger struct {
	entries map[model.ObjectRef]*entry
	vault   *vault
	journal *journal
	log     *slog.Logger
	// changed and moved collect what to tell, until taken.
	changed, moved map[model.ObjectRef]*source.Object
	// contested are the objects that are defined more than once.
	contested map[model.ObjectRef]bool
	// touched are the files whose problems may have changed.
	touched map[*input]bool
	// problems are those of each file that has any; folders are those of folders.
	problems map[string][]source.Problem
	folders  []source.Problem
}

// entry is one object.
type entry struct {
	ref model.ObjectRef
	// claims are the places that define it, in order of file and line.
	claims []claim
	// ghosts are the files that may still define it, in a document that cannot be
	// read.
	ghosts []*input
	// good is the last good state; nil when there was none.
	good *goodState
	// served is what readers have; nil for nothing.
	served *source.Object
	// kept tells that the vault holds the good state.
	kept bool
	// noted is the good state that the journal has; nil when it has none.
	noted source.KubeObject
}

// claim is one item of a document.
type claim struct {
	doc  *document
	item *scheme.Item
}

func (c claim) line() int { return c.doc.at(c.item.Line) }

// stateOf is the state that an item has, which stood at a place.
func stateOf(it *scheme.Item, file string, line int) *goodState {
	return &goodState{obj: it.Object, refused: it.Broken(), rules: relative(it), file: file, line: line}
}

// text is the document that holds the object and no other; nil when there is no
// such document.
func (g *goodState) text() []byte {
	if g.doc != nil && len(g.doc.items) == 1 && g.doc.items[0].Digest == 0 {
		return g.doc.text
	}
	return nil
}

// goodState is a good state of an object, or the best that there was.
type goodState struct {
	obj source.KubeObject
	// refused tells that it is only the best that there was.
	refused bool
	// rules are the lines of its rules, counted from the object's line as 0.
	rules []int
	// doc is the document; nil when the state came from the vault.
	doc *document
	// file and line are where it stood.
	file string
	line int
}

func newLedger(v *vault, j *journal, log *slog.Logger) *ledger {
	return &ledger{
		entries: map[model.ObjectRef]*entry{}, vault: v, journal: j, log: log,
		changed: map[model.ObjectRef]*source.Object{}, moved: map[model.ObjectRef]*source.Object{},
		contested: map[model.ObjectRef]bool{},
		touched:   map[*input]bool{}, problems: map[string][]source.Problem{},
	}
}

func (l *ledger) entry(ref model.ObjectRef) *entry {
	e := l.entries[ref]
	if e == nil {
		e = &entry{ref: ref, good: l.vault.get(ref)}
		e.kept = e.good != nil
		l.entries[ref] = e
	}
	return e
}

// recall looks for a good state of an object that was good when an earlier run
// ended.
func (l *ledger) recall(e *entry) {
	if e.good == nil {
		e.good = l.journal.get(e.ref, l.vault.shown)
	}
}

// note tells the journal what is new.
func (l *ledger) note(e *entry, want *source.Object, own bool) {
	switch {
	case want == nil && e.noted != nil:
		e.noted = nil
		l.journal.note(e.ref, nil, l.vault.shown)
	case want != nil && own && !e.good.refused && e.good.obj != e.noted:
		e.noted = e.good.obj
		l.journal.note(e.ref, e.good, l.vault.shown)
	}
}

// claim notes that documents define objects, release that they do no more.
func (l *ledger) claim(docs []*document, due map[model.ObjectRef]bool) {
	for _, d := range docs {
		for i := range d.items {
			it := &d.items[i]
			if it.Ref == (model.ObjectRef{}) {
				continue
			}
			e := l.entry(it.Ref)
			if it.Broken() {
				l.recall(e)
			}
			e.claims = append(e.claims, claim{d, it})
			due[it.Ref] = true
		}
	}
}

func (l *ledger) release(docs []*document, due map[model.ObjectRef]bool) {
	for _, d := range docs {
		for i := range d.items {
			it := &d.items[i]
			e := l.entries[it.Ref]
			if e == nil {
				continue
			}
			e.claims = slices.DeleteFunc(e.claims, func(c claim) bool { return c.item == it })
			due[it.Ref] = true
		}
	}
}

// touch marks the objects of documents as due, and their files as touched.
func (l *ledger) touch(docs []*document, due map[model.ObjectRef]bool) {
	for _, d := range docs {
		for i := range d.items {
			if ref := d.items[i].Ref; ref != (model.ObjectRef{}) {
				due[ref] = true
			}
		}
	}
}

// settle works out what is served of each object that is due.
func (l *ledger) settle(due map[model.ObjectRef]bool) {
	for ref := range due {
		if e := l.entries[ref]; e != nil {
			l.settleOne(e)
		}
	}
}

func (l *ledger) settleOne(e *entry) {
	slices.SortFunc(e.claims, func(a, b claim) int {
		return cmp.Or(cmp.Compare(a.doc.in.path, b.doc.in.path), cmp.Compare(a.line(), b.line()))
	})
	if delete(l.contested, e.ref); len(e.claims) > 1 {
		l.contested[e.ref] = true
	}
	for _, c := range e.claims {
		l.touched[c.doc.in] = true
	}
	for _, in := range e.ghosts {
		l.touched[in] = true
	}
	want, good := e.wanted()
	if want != nil && !good {
		e.kept = e.kept || l.vault.put(e.ref, e.good)
	} else if e.kept {
		l.vault.drop(e.ref)
		e.kept = false
	}
	l.note(e, want, good)
	l.publish(e, want)
	if want == nil && len(e.claims) == 0 {
		delete(l.entries, e.ref)
	}
}

// wanted is what should be served now, and whether that is the input's own
// present state.
func (e *entry) wanted() (want *source.Object, good bool) {
	if len(e.claims) == 0 {
		if len(e.ghosts) == 0 || e.good == nil {
			return nil, false
		}
		return e.good.at(e.ref, e.ghosts[0].path, e.good.line), false
	}
	c := e.claims[0]
	if c.item.Object != nil && (!c.item.Broken() || e.good == nil || e.good.refused) {
		if e.good == nil || !same(e.good.obj, c.item.Object) {
			e.good = &goodState{obj: c.item.Object}
		}
		e.good.refused = c.item.Broken()
		e.good.rules, e.good.doc, e.good.file, e.good.line = relative(c.item), c.doc, c.doc.in.path, c.line()
		return e.good.at(e.ref, c.doc.in.path, c.line()), !c.doc.in.stale()
	}
	if e.good == nil {
		return nil, false
	}
	return e.good.at(e.ref, c.doc.in.path, c.line()), false
}

// same tells that nothing but comments and places changed.
func same(a, b source.KubeObject) bool { return a == b || equality.Semantic.DeepEqual(a, b) }

func relative(it *scheme.Item) []int {
	rules := make([]int, len(it.RuleLines))
	for i, line := range it.RuleLines {
		rules[i] = line - it.Line
	}
	return rules
}

// at is the state as an object that stands at a place.
func (g *goodState) at(ref model.ObjectRef, file string, line int) *source.Object {
	o := &source.Object{
		KubeObject: g.obj,
		Origin:     model.Origin{Object: ref, Rule: -1, File: file, Line: line},
	}
	for _, r := range g.rules {
		o.RuleLines = append(o.RuleLines, line+r)
	}
	return o
}

// publish notes the difference between what is served and what should be.
func (l *ledger) publish(e *entry, want *source.Object) {
	was := e.served
	e.served = want
	switch {
	case want == nil && was == nil:
	case want == nil || was == nil || want.KubeObject != was.KubeObject:
		l.changed[e.ref] = want
		delete(l.moved, e.ref)
	case want.Origin != was.Origin || !slices.Equal(want.RuleLines, was.RuleLines):
		if _, told := l.changed[e.ref]; told {
			l.changed[e.ref] = want
		} else {
			l.moved[e.ref] = want
		}
	default:
		e.served = was
	}
}
