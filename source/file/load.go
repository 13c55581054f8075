package file

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
	"sluice.io/sluice/source/syntax"
)

// Load reads the whole folder once and returns what is in it. Its batch always
// has Problems.
func (f *Folder) Load() source.Batch {
	f.ledger.vault.open()
	f.ledger.journal.open()
	t := scan(f.dir)
	f.failed = t.failed
	f.refresh(sortedPaths(t.files), nil)
	f.ledger.vault.prune(f.ledger.entries)
	f.ledger.journal.forget()
	f.loaded = true
	return f.ledger.take(f.folderProblems(), true)
}

// differing are the paths of a scan that are not as they were read: new, changed
// or gone. Files in folders that could not be listed stay as they are.
func (f *Folder) differing(t *tree) []string {
	var paths []string
	for path, s := range t.files {
		if in := f.files[path]; in == nil || in.stamp != s || in.stale() && s != (stamp{}) {
			paths = append(paths, path)
		}
	}
	for path := range f.files {
		if _, there := t.files[path]; !there && !t.below(path) {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// refresh reads the files at paths again and settles what follows. Those that
// are being written are left for later, unless patience has run out, and
// returned.
func (f *Folder) refresh(paths []string, waits *waits) (later []string) {
	var edits []*edit
	due := map[model.ObjectRef]bool{}
	for _, path := range paths {
		r := read(path)
		if f.loaded && waits.again(path, r, f.hasObjects(path), time.Now()) {
			later = append(later, path)
			continue
		}
		if e := f.accept(path, r, due); e != nil {
			edits = append(edits, e)
		}
	}
	decode(f.decoder, edits, &f.progress)
	for _, e := range edits {
		f.apply(e, due)
	}
	f.ledger.settle(due)
	return later
}

func (f *Folder) hasObjects(path string) bool {
	in := f.files[path]
	return in != nil && len(in.docs) > 0
}

// accept takes a reading over; the edit is nil when no document can have changed.
func (f *Folder) accept(path string, r reading, due map[model.ObjectRef]bool) *edit {
	in := f.files[path]
	switch {
	case r.gone && in == nil:
		return nil
	case in == nil:
		in = &input{path: path}
		f.files[path] = in
	}
	f.ledger.touched[in] = true
	wasStale := in.stale()
	in.stamp = r.stamp
	if r.gone {
		delete(f.files, path)
		in.problem = nil
		return compare(in, nil)
	}
	if r.err != nil {
		f.unreadable(in, r.err, due)
		return nil
	}
	in.problem = nil
	if wasStale {
		f.ledger.touch(in.docs, due)
	}
	return compare(in, syntax.Split(r.data, formatOf(path)))
}

// unreadable keeps what is known of a file.
func (f *Folder) unreadable(in *input, err error, due map[model.ObjectRef]bool) {
	in.problem = &source.Problem{File: in.path, Message: fmt.Sprintf("cannot be read: %v", err)}
	f.ledger.touch(in.docs, due)
	if len(in.docs) == 0 {
		f.ledger.haunt(in, f.ledger.past(in.path, true), true, due)
	}
	if n := len(in.docs) + len(in.ghosts); n > 0 {
		in.problem.LastGood = true
		in.problem.Message += "; its objects stay as they were"
	}
}

// apply brings the ledger up to date with an edit.
func (f *Folder) apply(e *edit, due map[model.ObjectRef]bool) {
	l := f.ledger
	first := e.in.docs == nil
	e.in.docs = e.docs
	l.release(e.gone, due)
	l.claim(e.come, due)
	l.touch(e.moved, due)
	missing := map[model.ObjectRef]bool{}
	for _, d := range e.gone {
		for i := range d.items {
			missing[d.items[i].Ref] = true
		}
	}
	for ref := range e.in.ghosts {
		missing[ref] = true
	}
	unclear := l.unclear(e.docs)
	if first {
		for _, ref := range l.past(e.in.path, unclear) {
			missing[ref] = true
		}
	}
	l.haunt(e.in, sortedRefs(missing), unclear, due)
}

// folderProblems are those of folders that cannot be listed.
func (f *Folder) folderProblems() []source.Problem {
	var all []source.Problem
	for dir, err := range f.failed {
		what := "this folder cannot be listed"
		if dir == f.dir {
			what = "the folder given to Sluice cannot be listed"
		}
		all = append(all, source.Problem{
			File: dir, LastGood: f.anyBelow(dir),
			Message: fmt.Sprintf("%s: %v; objects of its files stay as they were", what, reason(err)),
		})
	}
	return all
}

func (f *Folder) anyBelow(dir string) bool {
	t := tree{failed: map[string]error{dir: fs.ErrInvalid}}
	for path := range f.files {
		if t.below(path) {
			return true
		}
	}
	return false
}

func reason(err error) error {
	var inPath *fs.PathError
	if errors.As(err, &inPath) {
		return inPath.Err
	}
	return err
}

// display is the path of a name below the folder, as the user would type it.
func (f *Folder) display(rel string) string { return filepath.Join(f.dir, rel) }
