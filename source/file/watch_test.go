package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// world is what a running folder told so far.
type world struct {
	t        *testing.T
	mu       sync.Mutex
	objects  map[model.ObjectRef]*source.Object
	problems []source.Problem
	removed  map[model.ObjectRef]int
}

func (w *world) take(b source.Batch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ref, o := range b.Changed {
		w.objects[ref] = o
		if o == nil {
			delete(w.objects, ref)
			w.removed[ref]++
		}
	}
	for ref, o := range b.Moved {
		if was := w.objects[ref]; was == nil || was.KubeObject != o.KubeObject {
			w.t.Errorf("%s moved, but is another object", ref)
		}
		w.objects[ref] = o
	}
	if b.Problems != nil {
		w.problems = b.Problems
	}
}

// note is the "note" annotation of a Service; empty when there is none.
func (w *world) note(name string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o := w.objects[service(name)]; o != nil {
		return o.GetAnnotations()["note"]
	}
	return ""
}

func (w *world) problem() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, p := range w.problems {
		all = append(all, fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Message))
	}
	return strings.Join(all, "\n")
}

func (w *world) removals(name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.removed[service(name)]
}

func (w *world) wantNote(name, note string) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("Service %s with note %q", name, note), func() bool { return w.note(name) == note })
}

func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("never: %s; problems: %s", what, w.problem())
		}
	}
}

func service(name string) model.ObjectRef {
	return model.ObjectRef{Kind: "Service", Namespace: "default", Name: name}
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// watchFolder runs a folder until the test ends.
func watchFolder(t *testing.T, dir string, tune func(*Folder)) *world {
	t.Helper()
	f, err := New(dir, Options{StateDir: t.TempDir(), Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	f.tuning.poll = time.Hour // events must do
	if tune != nil {
		tune(f)
	}
	w := &world{t: t, objects: map[model.ObjectRef]*source.Object{}, removed: map[model.ObjectRef]int{}}
	w.take(f.Load())
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := f.Run(ctx, w.take); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return w
}

func serviceYAML(name, note string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {name: %s, annotations: {note: %q}}\n"+
		"spec: {clusterIP: 10.0.0.1, ports: [{port: 80}]}\n", name, note)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func TestWatchEdits(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), serviceYAML("a", "one"))
	w := watchFolder(t, dir, nil)
	w.wantNote("a", "one")

	write(t, filepath.Join(dir, "a.yaml"), serviceYAML("a", "two"))
	w.wantNote("a", "two")

	write(t, filepath.Join(dir, ".a.yaml.tmp"), serviceYAML("a", "three"))
	rename(t, filepath.Join(dir, ".a.yaml.tmp"), filepath.Join(dir, "a.yaml"))
	w.wantNote("a", "three")

	write(t, filepath.Join(dir, "b.json"), `{"apiVersion":"v1","kind":"Service","metadata":{"name":"b","annotations":{"note":"json"}},"spec":{"clusterIP":"None"}}`)
	w.wantNote("b", "json")

	rename(t, filepath.Join(dir, "a.yaml"), filepath.Join(dir, "a.txt"))
	w.wantNote("a", "")
	rename(t, filepath.Join(dir, "a.txt"), filepath.Join(dir, "c.yml"))
	w.wantNote("a", "three")
}

func TestWatchFolders(t *testing.T) {
	dir := t.TempDir()
	w := watchFolder(t, dir, nil)
	write(t, filepath.Join(dir, "x/y/z/a.yaml"), serviceYAML("a", "new"))
	w.wantNote("a", "new")
	write(t, filepath.Join(dir, "x/y/z/a.yaml"), serviceYAML("a", "edited"))
	w.wantNote("a", "edited")

	rename(t, filepath.Join(dir, "x/y"), filepath.Join(dir, "x/moved"))
	w.eventually("the new path", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		o := w.objects[service("a")]
		return o != nil && o.Origin.File == filepath.Join(dir, "x/moved/z/a.yaml")
	})
	write(t, filepath.Join(dir, "x/moved/z/a.yaml"), serviceYAML("a", "edited again"))
	w.wantNote("a", "edited again")

	if err := os.RemoveAll(filepath.Join(dir, "x")); err != nil {
		t.Fatal(err)
	}
	w.wantNote("a", "")
}

func TestWatchConfigMapSwap(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 {
		write(t, filepath.Join(dir, fmt.Sprintf("..2026_%d", i), "a.yaml"), serviceYAML("a", fmt.Sprint(i)))
	}
	link := func(target, name string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("..2026_0", "..data")
	link("..data/a.yaml", "a.yaml")
	w := watchFolder(t, dir, nil)
	w.wantNote("a", "0")
	for i := 1; i < 3; i++ { // as the kubelet does it
		link(fmt.Sprintf("..2026_%d", i), "..data_tmp")
		rename(t, filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data"))
		w.wantNote("a", fmt.Sprint(i))
		if err := os.RemoveAll(filepath.Join(dir, fmt.Sprintf("..2026_%d", i-1))); err != nil {
			t.Fatal(err)
		}
	}
	if w.removals("a") > 0 {
		t.Error("a swap removed the object for a while")
	}
}

func TestWatchFolderGoneAndBack(t *testing.T) {
	root := t.TempDir()
	dir, away := filepath.Join(root, "in"), filepath.Join(root, "away")
	write(t, filepath.Join(dir, "a.yaml"), serviceYAML("a", "one"))
	w := watchFolder(t, dir, nil)
	w.wantNote("a", "one")

	rename(t, dir, away)
	w.eventually("a problem with the folder", func() bool { return strings.Contains(w.problem(), "cannot be listed") })
	w.wantNote("a", "one")

	write(t, filepath.Join(dir, "a.yaml"), serviceYAML("a", "two"))
	w.wantNote("a", "two")
	w.eventually("no problem", func() bool { return w.problem() == "" })
	write(t, filepath.Join(dir, "a.yaml"), serviceYAML("a", "three"))
	w.wantNote("a", "three")
	write(t, filepath.Join(away, "a.yaml"), serviceYAML("a", "elsewhere"))
	write(t, filepath.Join(dir, "b.yaml"), serviceYAML("b", "one"))
	w.wantNote("b", "one")
	w.wantNote("a", "three")
	if w.removals("a") > 0 {
		t.Error("the object was removed while the folder was gone")
	}
}

func TestWatchFolderIsLink(t *testing.T) {
	root := t.TempDir()
	link := filepath.Join(root, "current")
	write(t, filepath.Join(root, "v1/a.yaml"), serviceYAML("a", "one"))
	write(t, filepath.Join(root, "v2/a.yaml"), serviceYAML("a", "two"))
	for i, target := range []string{"v1", "v2"} {
		if err := os.Symlink(target, filepath.Join(root, fmt.Sprint("next", i))); err != nil {
			t.Fatal(err)
		}
	}
	rename(t, filepath.Join(root, "next0"), link)
	w := watchFolder(t, link, nil)
	w.wantNote("a", "one")
	rename(t, filepath.Join(root, "next1"), link)
	w.wantNote("a", "two")
	write(t, filepath.Join(root, "v2/a.yaml"), serviceYAML("a", "three"))
	w.wantNote("a", "three")
}

func TestWatchRelativeFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "a.yaml", serviceYAML("a", "one"))
	w := watchFolder(t, ".", nil)
	w.wantNote("a", "one")
	write(t, "sub/b.yaml", serviceYAML("b", "one"))
	w.wantNote("b", "one")
	write(t, "a.yaml", serviceYAML("a", "two"))
	w.wantNote("a", "two")
	if got := w.objects[service("b")].Origin.File; got != "sub/b.yaml" {
		t.Errorf("the file is %q", got)
	}
}

// TestWatchHalfWritten holds a file open while it is being written: it must not
// be read before it is closed.
func TestWatchHalfWritten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.yaml")
	text := serviceYAML("a", "old") + "---\n" + serviceYAML("b", "old")
	write(t, path, text)
	w := watchFolder(t, dir, func(f *Folder) {
		f.tuning.still, f.tuning.patience = time.Hour, time.Hour
	})
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	text = strings.ReplaceAll(text, "old", "new")
	for i, part := range []string{"", text[:40], text[40:130], text[130:]} {
		if _, err := file.WriteString(part); err != nil {
			t.Fatal(err)
		}
		// When another file's change was seen, this one's was looked at, too.
		other := fmt.Sprint("other", i)
		write(t, filepath.Join(dir, other+".yaml"), serviceYAML(other, "there"))
		w.wantNote(other, "there")
		if a, b := w.note("a"), w.note("b"); a != "old" || b != "old" {
			t.Fatalf("read while being written, after %d parts: a %q, b %q", i, a, b)
		}
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	w.wantNote("a", "new")
	w.wantNote("b", "new")
	if p := w.problem(); p != "" || w.removals("a")+w.removals("b") > 0 {
		t.Errorf("a half-written file did harm: %s", p)
	}
}

// TestWatchWithoutEvents finds changes by looking at all files.
func TestWatchWithoutEvents(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), serviceYAML("a", "one"))
	w := watchFolder(t, dir, func(f *Folder) {
		f.tuning.poll = time.Millisecond
		f.newWatcher = func() (*fsnotify.Watcher, error) { return nil, errors.New("none to be had") }
	})
	write(t, filepath.Join(dir, "a.yaml"), serviceYAML("a", "longer"))
	w.wantNote("a", "longer")
	write(t, filepath.Join(dir, "sub/b.yaml"), serviceYAML("b", "new"))
	w.wantNote("b", "new")
	if err := os.Remove(filepath.Join(dir, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	w.wantNote("a", "")
}

// TestWatchOverflow looks at everything when events were lost.
func TestWatchOverflow(t *testing.T) {
	dir := t.TempDir()
	f, err := New(dir, Options{Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	var got source.Batch
	w := &watch{Folder: f, waits: newWaits(f.tuning), out: func(b source.Batch) { got = b }, abs: dir}
	f.Load()
	write(t, filepath.Join(dir, "a.yaml"), serviceYAML("a", "one"))
	w.failure(fsnotify.ErrEventOverflow)
	if w.waits.due().IsZero() {
		t.Fatal("nothing to look at")
	}
	w.flush()
	if got.Changed[service("a")] == nil {
		t.Errorf("the file was not found: %v", got)
	}
}

// TestRunWithoutLoad tells everything first.
func TestRunWithoutLoad(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), serviceYAML("a", "one"))
	f, err := New(dir, Options{Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var first map[model.ObjectRef]*source.Object
	err = f.Run(ctx, func(b source.Batch) { first = maps.Clone(b.Changed); cancel() })
	if err != nil || first[service("a")] == nil {
		t.Errorf("first batch %v, error %v", first, err)
	}
}

func TestNewRefuses(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), "")
	for _, path := range []string{filepath.Join(dir, "none"), filepath.Join(dir, "a.yaml")} {
		if _, err := New(path, Options{}); err == nil {
			t.Errorf("%s is no folder", path)
		}
	}
}
