package file

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source/scheme"
	"sluice.io/sluice/source/syntax"
)

// vault keeps the last good documents of broken objects on disk, one file each,
// so that they survive a restart.
type vault struct {
	dir     string // empty when nothing is kept
	folder  string // absolute, of the input
	shown   string // the same as the user gave it
	decoder *scheme.Decoder
	log     *slog.Logger
	states  map[model.ObjectRef]*goodState
}

func newVault(stateDir, folder string, dec *scheme.Decoder, log *slog.Logger) *vault {
	v := &vault{shown: folder, folder: folder, decoder: dec, log: log, states: map[model.ObjectRef]*goodState{}}
	if abs, err := filepath.Abs(folder); err == nil {
		v.folder = abs
	}
	if stateDir != "" {
		v.dir = filepath.Join(stateDir, "last-good")
	}
	return v
}

// header is the first line of a kept file, before the document.
const header = "# The last good state of %s, from line %d of %q. Kept by Sluice while that is broken.\n"

// open reads what an earlier run kept.
func (v *vault) open() {
	if v.dir == "" {
		return
	}
	names, err := os.ReadDir(v.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		v.log.Warn("cannot read the last good states of an earlier run", "dir", v.dir, "err", err)
	}
	for _, e := range names {
		if isHidden(e.Name()) || filepath.Ext(e.Name()) != ".yaml" {
			continue
		}
		path := filepath.Join(v.dir, e.Name())
		if err := v.load(path); err != nil {
			v.log.Warn("cannot use the last good state of an earlier run", "file", path, "err", err)
		}
	}
}

func (v *vault) load(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	at, line, err := parseHeader(string(first))
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(v.folder, at)
	if err != nil || strings.HasPrefix(rel, "..") {
		return fmt.Errorf("it is of another folder: %s", at)
	}
	items := v.decoder.Decode(rest, syntax.YAML, nil)
	if len(items) != 1 || items[0].Object == nil {
		return errors.New("it is not valid any more")
	}
	v.states[items[0].Ref] = stateOf(&items[0], filepath.Join(v.shown, rel), line)
	return nil
}

func parseHeader(text string) (file string, line int, err error) {
	_, text, ok := strings.Cut(text, ", from line ")
	if ok {
		_, err = fmt.Sscanf(text, "%d of %q.", &line, &file)
	}
	if !ok || err != nil {
		return "", 0, errors.New("its first line does not tell where it is from")
	}
	return file, line, nil
}

// get returns the state of an object that an earlier run kept, or nil.
func (v *vault) get(ref model.ObjectRef) *goodState { return v.states[ref] }

// from lists the kept objects that stood in a file.
func (v *vault) from(path string) []model.ObjectRef {
	refs := map[model.ObjectRef]bool{}
	for ref, g := range v.states {
		if g.file == path {
			refs[ref] = true
		}
	}
	return sortedRefs(refs)
}

// put keeps an object's last good state. It reports whether there is something
// to drop later.
func (v *vault) put(ref model.ObjectRef, g *goodState) bool {
	if v.dir == "" || g == nil {
		return false
	}
	if err := v.write(ref, g); err != nil {
		v.log.Warn("cannot keep the last good state: it will not survive a restart", "object", ref.String(), "err", err)
		return false
	}
	return true
}

func (v *vault) write(ref model.ObjectRef, g *goodState) error {
	text, err := g.document()
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(v.shown, g.file)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(v.dir, 0o700); err != nil {
		return err
	}
	var buf bytes.Buffer
	fmt.Fprintf(&buf, header, ref, g.line, filepath.Join(v.folder, rel))
	buf.Write(text)
	path := v.path(ref)
	next := filepath.Join(v.dir, "."+filepath.Base(path)+".next")
	if err := os.WriteFile(next, buf.Bytes(), 0o600); err != nil {
		return err
	}
	return os.Rename(next, path)
}

// document is the text of the document that holds the object, and no other.
func (g *goodState) document() ([]byte, error) {
	if text := g.text(); text != nil && formatOf(g.doc.in.path) == syntax.YAML {
		return text, nil
	}
	return yaml.Marshal(g.obj)
}

func (v *vault) drop(ref model.ObjectRef) {
	delete(v.states, ref)
	if v.dir == "" {
		return
	}
	if err := os.Remove(v.path(ref)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		v.log.Warn("cannot remove the last good state of an object that is well", "object", ref.String(), "err", err)
	}
}

// prune drops what an earlier run kept of objects that are not in the input now.
func (v *vault) prune(entries map[model.ObjectRef]*entry) {
	for ref := range v.states {
		if e := entries[ref]; e == nil || e.served == nil {
			v.drop(ref)
		}
	}
}

// path is the file for an object. The object's names are valid ones, so they
// hold no slash; what is too long for a file name is cut, and told by its hash.
func (v *vault) path(ref model.ObjectRef) string {
	name := ref.Kind + "." + ref.Namespace + "." + ref.Name
	if len(name) > 200 {
		name = fmt.Sprintf("%s-%x", name[:200], sha256.Sum256([]byte(name)))[:232]
	}
	return filepath.Join(v.dir, name+".yaml")
}
