package file

import (
	"path/filepath"
	"slices"

	"sluice.io/sluice/model"
)

// unclear tells whether some document may be the broken form of any object: it
// is broken, and no good state of what it seems to define is known. A truncated
// or mistyped name looks like that. What was decoded and then refused is whole.
func (l *ledger) unclear(docs []*document) bool {
	for _, d := range docs {
		for i := range d.items {
			it := &d.items[i]
			if !it.Broken() || it.Object != nil {
				continue
			}
			if e := l.entries[it.Ref]; e == nil || e.good == nil {
				return true
			}
		}
	}
	return false
}

// past lists the objects that stood in a file when an earlier run ended: those
// that were broken then, or all.
func (l *ledger) past(path string, all bool) []model.ObjectRef {
	refs := l.vault.from(path)
	if rel, err := filepath.Rel(l.vault.shown, path); err == nil && all {
		refs = append(refs, l.journal.files[rel]...)
	}
	return refs
}

// haunt decides which of the objects that are missing from a file stay all the
// same.
func (l *ledger) haunt(in *input, missing []model.ObjectRef, unclear bool, due map[model.ObjectRef]bool) {
	for _, ref := range missing {
		e := l.entry(ref)
		if unclear {
			l.recall(e)
		}
		here := slices.ContainsFunc(e.claims, func(c claim) bool { return c.doc.in == in })
		stays := unclear && !here && e.good != nil
		at := slices.Index(e.ghosts, in)
		switch {
		case stays && at < 0:
			e.ghosts = append(e.ghosts, in)
		case !stays && at >= 0:
			e.ghosts = slices.Delete(e.ghosts, at, at+1)
		}
		if stays {
			if in.ghosts == nil {
				in.ghosts = map[model.ObjectRef]bool{}
			}
			in.ghosts[ref] = true
		} else {
			delete(in.ghosts, ref)
		}
		due[ref] = true
	}
}
