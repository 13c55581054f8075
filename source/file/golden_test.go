package file

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/tools/txtar"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestGolden plays each testdata/*.txtar: files named <step>/<path> are written
// to a folder (or removed, when they hold DELETED; "->target" makes a symbolic
// link), and <step>.out is what the folder then tells. RESTART as a file of a
// step starts a new Folder with the same state.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { golden(t, name) })
	}
}

func golden(t *testing.T, name string) {
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	home, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	g := &goldenRun{t: t, state: t.TempDir()}
	t.Chdir(t.TempDir())
	if err := os.Mkdir("in", 0o755); err != nil {
		t.Fatal(err)
	}
	var kept []txtar.File
	for i, file := range archive.Files {
		step, path, ok := strings.Cut(file.Name, "/")
		if !ok {
			continue
		}
		g.put(path, file.Data)
		kept = append(kept, file)
		if i+1 < len(archive.Files) && strings.HasPrefix(archive.Files[i+1].Name, step+"/") {
			continue
		}
		kept = append(kept, txtar.File{Name: step + ".out", Data: []byte(g.tell())})
	}
	archive.Files = kept
	got := txtar.Format(archive)
	compareGolden(t, home, got)
}

func compareGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(got, want) {
		return
	}
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s differs (go test -update rewrites it); got:\n%s", name, got)
}

// goldenRun is the folder that a golden file is played on.
type goldenRun struct {
	t      *testing.T
	state  string
	folder *Folder
}

func (g *goldenRun) put(path string, data []byte) {
	g.t.Helper()
	if path == "RESTART" {
		g.folder = nil
		return
	}
	full := filepath.Join("in", path)
	err := os.MkdirAll(filepath.Dir(full), 0o755)
	text := strings.TrimSpace(string(data))
	_ = os.Remove(full)
	if target, link := strings.CutPrefix(text, "->"); link && err == nil {
		err = os.Symlink(target, full)
	} else if text != "DELETED" && err == nil {
		err = os.WriteFile(full, data, 0o644)
	}
	if err != nil {
		g.t.Fatal(err)
	}
}

// tell reads what changed, without watching.
func (g *goldenRun) tell() string {
	g.t.Helper()
	if g.folder == nil {
		f, err := New("in", Options{StateDir: g.state, Check: checkPaths, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
		if err != nil {
			g.t.Fatal(err)
		}
		g.folder = f
		b := f.Load()
		f.ledger.journal.flush()
		return dump(b, g.state)
	}
	b := g.folder.sync()
	g.folder.ledger.journal.flush()
	return dump(b, g.state)
}

// checkPaths stands in for resolve.Check: it refuses what is no expression.
func checkPaths(obj *source.Object) error {
	rt, ok := obj.KubeObject.(*gatewayv1.HTTPRoute)
	if !ok {
		return nil
	}
	var wrong []string
	for i, rule := range rt.Spec.Rules {
		for _, m := range rule.Matches {
			if _, err := regexp.Compile(*m.Path.Value); err != nil && *m.Path.Type == gatewayv1.PathMatchRegularExpression {
				wrong = append(wrong, fmt.Sprintf("rule %d (%s): regular expression %q is not valid RE2: %v",
					i, obj.RuleOrigin(i, "").Position(), *m.Path.Value, err))
			}
		}
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}

// sync is what a watch does, at once.
func (f *Folder) sync() source.Batch {
	t := scan(f.dir)
	f.failed = t.failed
	f.refresh(f.differing(t), newWaits(tuning{}))
	return f.ledger.take(f.folderProblems(), false)
}

func dump(b source.Batch, state string) string {
	var s strings.Builder
	dumpObjects(&s, "changed", b.Changed)
	dumpObjects(&s, "moved", b.Moved)
	if b.Problems == nil {
		s.WriteString("problems as before\n")
	}
	for _, p := range b.Problems {
		kind, at := "problem", p.File
		if p.Warning {
			kind = "warning"
		}
		if p.Line > 0 {
			at = fmt.Sprintf("%s:%d", at, p.Line)
		}
		fmt.Fprintf(&s, "%s %s: ", kind, at)
		if p.Object != (model.ObjectRef{}) {
			fmt.Fprintf(&s, "%s: ", p.Object)
		}
		s.WriteString(p.Message)
		if p.LastGood {
			s.WriteString(" [last good state serves]")
		}
		if p.Absent {
			s.WriteString(" [nothing of it serves]")
		}
		s.WriteString("\n")
	}
	kept, _ := filepath.Glob(filepath.Join(state, "last-good", "*"))
	for _, name := range kept {
		fmt.Fprintf(&s, "kept %s\n", filepath.Base(name))
	}
	return s.String()
}

func dumpObjects(s *strings.Builder, what string, objects map[model.ObjectRef]*source.Object) {
	refs := map[model.ObjectRef]bool{}
	for ref := range objects {
		refs[ref] = true
	}
	for _, ref := range sortedRefs(refs) {
		o := objects[ref]
		if o == nil {
			fmt.Fprintf(s, "removed %s\n", ref)
			continue
		}
		fmt.Fprintf(s, "%s %s (%s)", what, ref, o.Origin.Position())
		if len(o.RuleLines) > 0 {
			fmt.Fprintf(s, " rules at %v", o.RuleLines)
		}
		if note := o.GetAnnotations()["note"]; note != "" {
			fmt.Fprintf(s, " note %q", note)
		}
		s.WriteString("\n")
	}
}
