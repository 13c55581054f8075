package file

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source/scheme"
)

// journalled reads a folder of services and writes its journal.
func journalled(t *testing.T, dir, state string, names ...string) *Folder {
	t.Helper()
	for _, name := range names {
		write(t, filepath.Join(dir, name+".yaml"), serviceYAML(name, "kept"))
	}
	f, err := New(dir, Options{StateDir: state, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	f.Load()
	f.ledger.journal.flush()
	return f
}

// kept is what a journal tells of the next run.
func kept(t *testing.T, dir, state string) map[model.ObjectRef]record {
	t.Helper()
	j := newJournal(state, dir, scheme.New(), quiet())
	j.open()
	return j.past
}

func TestJournalCutOff(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	f := journalled(t, dir, state, "a", "b", "c")
	whole, err := os.ReadFile(f.ledger.journal.path)
	if err != nil {
		t.Fatal(err)
	}
	for size := range whole {
		write(t, f.ledger.journal.path, string(whole[:size]))
		for ref, r := range kept(t, dir, state) {
			if want := serviceYAML(ref.Name, "kept"); string(r.text) != want {
				t.Fatalf("of %d bytes: %s is %q, want %q", size, ref, r.text, want)
			}
		}
	}
	write(t, f.ledger.journal.path, string(whole[:len(whole)-1]))
	if got := kept(t, dir, state); len(got) != 2 {
		t.Errorf("without the last byte %d objects are kept, want all but the last", len(got))
	}
	write(t, f.ledger.journal.path, string(bytes.Repeat([]byte("x"), 100)))
	if got := kept(t, dir, state); len(got) != 0 {
		t.Errorf("of nonsense %d objects are kept", len(got))
	}
}

func TestJournalOfAnotherFolder(t *testing.T) {
	state := t.TempDir()
	journalled(t, t.TempDir(), state, "a")
	if got := kept(t, t.TempDir(), state); len(got) != 0 {
		t.Errorf("%v is of another folder", got)
	}
}

func TestJournalStaysSmall(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	f := journalled(t, dir, state, "a", "gone")
	large := fmt.Sprintf("%0100000d", 0)
	for i := range 50 {
		write(t, filepath.Join(dir, "a.yaml"), serviceYAML("a", fmt.Sprint(large, i)))
		f.sync()
		f.ledger.journal.flush()
	}
	if err := os.Remove(filepath.Join(dir, "gone.yaml")); err != nil {
		t.Fatal(err)
	}
	f.sync()
	f.ledger.journal.flush()
	info, err := os.Stat(f.ledger.journal.path)
	if err != nil || info.Size() > 2<<20 {
		t.Errorf("the journal has %d bytes (%v), of which 100,000 are in force", info.Size(), err)
	}
	if int64(f.ledger.journal.size) != info.Size() {
		t.Errorf("the journal has %d bytes, counted are %d", info.Size(), f.ledger.journal.size)
	}
	got := kept(t, dir, state)
	if r := got[service("a")]; len(got) != 1 || string(r.text) != serviceYAML("a", fmt.Sprint(large, 49)) {
		t.Errorf("%d objects are kept, want the last state of one", len(got))
	}
}

// TestJournalUnwritable proves that reading goes on when nothing can be kept.
func TestJournalUnwritable(t *testing.T) {
	dir, state := t.TempDir(), filepath.Join(t.TempDir(), "file")
	write(t, state, "no folder")
	f := journalled(t, dir, state, "a")
	write(t, filepath.Join(dir, "a.yaml"), serviceYAML("a", "new"))
	b := f.sync()
	f.ledger.journal.flush()
	if o := b.Changed[service("a")]; o == nil || o.GetAnnotations()["note"] != "new" {
		t.Errorf("changed are %v", b.Changed)
	}
}

// TestRunWritesTheJournal proves that all is written when Run has returned.
func TestRunWritesTheJournal(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), serviceYAML("a", "kept"))
	f, err := New(dir, Options{StateDir: state, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	f.Load()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Run(ctx, (&world{t: t}).take); err != nil {
		t.Fatal(err)
	}
	if got := kept(t, dir, state); len(got) != 1 {
		t.Errorf("%d objects are kept, want 1", len(got))
	}
}
