package file

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
	"sluice.io/sluice/source/scheme"
	"sluice.io/sluice/source/syntax"
)

// journal keeps the good state of every object on disk, so that one that breaks
// while nothing runs has a last good state, too. It is one file, written anew
// after the first read and appended to after edits; by a goroutine of its own, a
// little later than the input is read.
type journal struct {
	path    string // empty when nothing is kept
	folder  string // absolute, of the input
	decoder *scheme.Decoder
	log     *slog.Logger
	lag     time.Duration
	// past is what an earlier run kept, and files is which objects stood in which
	// file; for the time of the first read.
	past  map[model.ObjectRef]record
	files map[string][]model.ObjectRef

	mu      sync.Mutex
	pending map[model.ObjectRef]record // not yet written
	wake    chan struct{}

	// The rest is the writer's.
	begun, failed bool
	sizes         map[model.ObjectRef]int // of what is in the file and in force
	size, live    int                     // bytes in all, and of those in force
}

// record is one object's entry: a line of JSON, and the document.
type record struct {
	Object model.ObjectRef `json:"object"`
	// File is relative to the folder, or the folder in the journal's first record.
	File string        `json:"file,omitempty"`
	Line int           `json:"line,omitempty"`
	Form syntax.Format `json:"form,omitempty"`
	// Size is that of the document; zero when the object is gone.
	Size int `json:"size"`

	text []byte            // nil for
	obj  source.KubeObject // one of several in a document
}

func newJournal(stateDir, folder string, dec *scheme.Decoder, log *slog.Logger) *journal {
	j := &journal{
		folder: folder, decoder: dec, log: log, lag: time.Second,
		pending: map[model.ObjectRef]record{}, wake: make(chan struct{}, 1), sizes: map[model.ObjectRef]int{},
	}
	if stateDir != "" {
		j.path = filepath.Join(stateDir, "good-states")
	}
	return j
}

// open reads what an earlier run kept of the folder, without decoding it.
func (j *journal) open() {
	past, err := j.read()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		j.log.Warn("cannot use all good states of an earlier run", "file", j.path, "err", err)
	}
	j.past, j.files = past, map[string][]model.ObjectRef{}
	for ref, r := range past {
		j.files[r.File] = append(j.files[r.File], ref)
	}
}

// forget ends the first read: from then on, the ledger knows better.
func (j *journal) forget() { j.past, j.files = nil, nil }

// get decodes the state that an earlier run kept; nil when there is none.
func (j *journal) get(ref model.ObjectRef, shown string) *goodState {
	r, ok := j.past[ref]
	if !ok {
		return nil
	}
	items := j.decoder.Decode(r.text, r.Form, nil)
	if len(items) != 1 || items[0].Object == nil || items[0].Ref != ref {
		return nil
	}
	return stateOf(&items[0], filepath.Join(shown, r.File), r.Line)
}

func (j *journal) read() (map[model.ObjectRef]record, error) {
	if j.path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(j.path)
	if err != nil {
		return nil, err
	}
	all := map[model.ObjectRef]record{}
	for first := true; len(data) > 0; first = false {
		line, rest, _ := bytes.Cut(data, []byte("\n"))
		var r record
		if err := json.Unmarshal(line, &r); err != nil || r.Size < 0 || r.Size > len(rest) {
			return all, errors.New("it is damaged, or cut off; what stands before is used")
		}
		switch r.text, data = rest[:r.Size], rest[r.Size:]; {
		case first && r.File != j.folder:
			return nil, fmt.Errorf("it is of another folder: %s", r.File)
		case first:
		case r.Size == 0:
			delete(all, r.Object)
		default:
			all[r.Object] = r
		}
	}
	return all, nil
}

// note is called for each new good state, and with nil for an object that is
// gone. It only remembers what to write.
func (j *journal) note(ref model.ObjectRef, g *goodState, shown string) {
	if j.path == "" {
		return
	}
	r := record{Object: ref}
	if g != nil {
		r.Line, r.text, r.obj = g.line, g.text(), g.obj
		r.File, _ = filepath.Rel(shown, g.file)
		if r.text != nil {
			r.Form = formatOf(g.file)
		}
	}
	j.mu.Lock()
	j.pending[ref] = r
	j.mu.Unlock()
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// run writes until done, and then what is left.
func (j *journal) run(done <-chan struct{}) {
	for {
		select {
		case <-j.wake:
		case <-done:
			j.flush()
			return
		}
		select {
		case <-time.After(j.lag):
		case <-done:
		}
		j.flush()
	}
}

// flush writes what is pending. The first time it replaces what an earlier run
// left: all objects are pending then.
func (j *journal) flush() {
	j.mu.Lock()
	due := j.pending
	j.pending = map[model.ObjectRef]record{}
	j.mu.Unlock()
	if j.path == "" || j.failed || j.begun && len(due) == 0 {
		return
	}
	if err := j.write(due); err != nil {
		j.failed = true
		_ = os.Remove(j.path) // what is out of date is worse than nothing
		j.log.Warn("cannot keep good states: what breaks while Sluice is stopped will have none", "file", j.path, "err", err)
	}
}

func (j *journal) write(due map[model.ObjectRef]record) error {
	if !j.begun {
		j.begun = true
		return j.replace(due)
	}
	text, err := j.encode(nil, due)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(text); err != nil {
		_ = f.Close()
		return err
	}
	const slack = 1 << 20
	if err := f.Close(); err != nil || j.size <= 2*j.live+slack {
		return err
	}
	all, err := j.read()
	if err != nil {
		return err
	}
	return j.replace(all)
}

// replace writes the file anew.
func (j *journal) replace(all map[model.ObjectRef]record) error {
	j.size, j.live = 0, 0
	clear(j.sizes)
	head, err := json.Marshal(record{File: j.folder})
	if err != nil {
		return err
	}
	text, err := j.encode(append(head, '\n'), all)
	if err != nil {
		return err
	}
	j.size += len(head) + 1
	if err := os.MkdirAll(filepath.Dir(j.path), 0o700); err != nil {
		return err
	}
	next := j.path + ".next"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return err
	}
	return os.Rename(next, j.path)
}

// encode appends records, and counts their bytes.
func (j *journal) encode(to []byte, all map[model.ObjectRef]record) ([]byte, error) {
	for ref, r := range all {
		if r.text == nil && r.obj != nil {
			text, err := json.Marshal(r.obj)
			if err != nil {
				return nil, err
			}
			r.text, r.Form = text, syntax.JSON
		}
		r.Size = len(r.text)
		head, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		size := len(head) + 1 + r.Size
		to = append(append(append(to, head...), '\n'), r.text...)
		j.size += size
		j.live -= j.sizes[ref]
		delete(j.sizes, ref)
		if r.Size > 0 {
			j.sizes[ref] = size
			j.live += size
		}
	}
	return to, nil
}
