package file

import (
	"bytes"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	"k8s.io/apimachinery/pkg/api/equality"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
	"sluice.io/sluice/source/scheme"
)

// FuzzFolder plays edits, separated by lines of "@", of two files in turn: what
// is told adds up to what a fresh read of the last state gives, but for the
// objects that are kept because something is broken.
func FuzzFolder(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, name := range files {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		var edits [][]byte
		for _, file := range archive.Files {
			if strings.HasSuffix(file.Name, ".yaml") {
				edits = append(edits, file.Data)
			}
		}
		f.Add(bytes.Join(edits, []byte("@\n")))
		f.Add(bytes.Join(edits, []byte("@\n@\n")))
	}
	decoder := scheme.New()
	f.Fuzz(func(t *testing.T, script []byte) {
		dir := t.TempDir()
		live, fresh := play(t, dir, decoder), play(t, dir, decoder)
		var last [2][]byte
		for i, text := range bytes.Split(script, []byte("@\n")) {
			last[i%2] = text
			live.edit(i%2, text)
		}
		fresh.edit(0, last[0])
		fresh.edit(1, last[1])
		for ref, want := range fresh.objects {
			got := live.objects[ref]
			if got == nil || got.Origin != want.Origin || !equality.Semantic.DeepEqual(got.KubeObject, want.KubeObject) {
				t.Fatalf("%s:\ngot  %+v\nwant %+v", ref, got, want)
			}
		}
		if len(fresh.problems) == 0 && len(live.objects) != len(fresh.objects) {
			t.Fatalf("all is well, but objects stay: %v and %v", maps.Keys(live.objects), fresh.objects)
		}
	})
}

// player applies edits to a folder that is not on disk.
type player struct {
	*world
	folder *Folder
}

func play(t *testing.T, dir string, decoder *scheme.Decoder) *player {
	f, err := New(dir, Options{Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	f.loaded, f.decoder = true, decoder
	return &player{&world{t: t, objects: map[model.ObjectRef]*source.Object{}, removed: map[model.ObjectRef]int{}}, f}
}

func (p *player) edit(file int, text []byte) {
	f := p.folder
	due := map[model.ObjectRef]bool{}
	if e := f.accept([]string{"a.yaml", "b.yaml"}[file], reading{data: text}, due); e != nil {
		decode(f.decoder, []*edit{e}, &f.progress)
		f.apply(e, due)
	}
	f.ledger.settle(due)
	p.take(f.ledger.take(nil, false))
}
