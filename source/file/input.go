package file

import (
	"bytes"
	"runtime"
	"slices"
	"sync"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
	"sluice.io/sluice/source/scheme"
	"sluice.io/sluice/source/syntax"
)

// input is one file as it was last read.
type input struct {
	path  string
	stamp stamp
	docs  []*document
	// problem is set when the file as it is now could not be read; docs are then
	// those of an earlier read, and stale.
	problem *source.Problem
	// ghosts are the objects that used to be in this file and are not found in it,
	// while something in it cannot be told.
	ghosts map[model.ObjectRef]bool
}

func (in *input) stale() bool { return in.problem != nil }

// document is one document of a file. All but line is immutable.
type document struct {
	in    *input
	line  int
	text  []byte
	items []scheme.Item
}

// at is the line in the file of a line in the document.
func (d *document) at(line int) int { return d.line + line - 1 }

// edit is what reading a file again came to.
type edit struct {
	in *input
	// docs are all documents of the file now, those that stayed being the same.
	docs []*document
	// gone are the documents that the file had and has no more; come are the new
	// ones, still to be decoded; moved are those whose line changed.
	gone, come, moved []*document
}

// compare finds which documents of a file are new. Documents are told by their
// bytes: first the equal ones at both ends, then those that moved within.
func compare(in *input, parts []syntax.Document) *edit {
	e := &edit{in: in, docs: make([]*document, 0, len(parts))}
	old := in.docs
	head, tail := 0, 0
	for head < len(old) && head < len(parts) && bytes.Equal(old[head].text, parts[head].Text) {
		head++
	}
	for tail < len(old)-head && tail < len(parts)-head &&
		bytes.Equal(old[len(old)-1-tail].text, parts[len(parts)-1-tail].Text) {
		tail++
	}
	middle := map[string][]*document{}
	for _, d := range old[head : len(old)-tail] {
		middle[string(d.text)] = append(middle[string(d.text)], d)
	}
	for i, part := range parts {
		switch {
		case i < head:
			e.keep(old[i], part)
		case i >= len(parts)-tail:
			e.keep(old[len(old)-(len(parts)-i)], part)
		default:
			e.match(middle, part)
		}
	}
	for _, d := range old[head : len(old)-tail] { // in order
		if slices.Contains(middle[string(d.text)], d) {
			e.gone = append(e.gone, d)
		}
	}
	return e
}

func (e *edit) match(middle map[string][]*document, part syntax.Document) {
	if same := middle[string(part.Text)]; len(same) > 0 {
		middle[string(part.Text)] = same[1:]
		e.keep(same[0], part)
		return
	}
	d := &document{in: e.in, line: part.Line, text: part.Text}
	e.docs, e.come = append(e.docs, d), append(e.come, d)
}

// keep takes over a document that stayed, with the new text, so that the old
// file's bytes are let go.
func (e *edit) keep(d *document, part syntax.Document) {
	d.text = part.Text
	if d.line != part.Line {
		d.line = part.Line
		e.moved = append(e.moved, d)
	}
	e.docs = append(e.docs, d)
}

// decode decodes the new documents of all edits, on all processors.
func decode(dec *scheme.Decoder, edits []*edit, p *progress) {
	var wg sync.WaitGroup
	jobs := make(chan func())
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for job := range jobs {
				job()
			}
		})
	}
	total := 0
	for _, e := range edits {
		total += len(e.come)
	}
	p.begin(total)
	for _, e := range edits {
		known := e.known()
		for _, d := range e.come {
			jobs <- func() {
				d.items = dec.Decode(d.text, formatOf(d.in.path), known)
				p.done.Add(1)
			}
			p.tell()
		}
	}
	close(jobs)
	wg.Wait()
}

// known returns the items of Lists that are gone, by their content.
func (e *edit) known() func(uint64) *scheme.Item {
	byDigest := map[uint64]*scheme.Item{}
	for _, d := range e.gone {
		for i := range d.items {
			if it := &d.items[i]; it.Digest != 0 {
				byDigest[it.Digest] = it
			}
		}
	}
	return func(digest uint64) *scheme.Item { return byDigest[digest] }
}
