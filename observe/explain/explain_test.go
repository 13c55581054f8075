package explain_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"sluice.io/sluice/model"
	"sluice.io/sluice/observe/explain"
	"sluice.io/sluice/resolve/resolvetest"
)

var update = flag.Bool("update", false, "rewrite the golden sections")

// TestGolden runs the archives in testdata: *.yaml files make the mesh, and
// each other section's name is a query, with its answer below. A section that
// begins with "json" shows the answer as JSON.
func TestGolden(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("find archives: %d found, %v", len(paths), err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) { golden(t, path) })
	}
}

func golden(t *testing.T, path string) {
	ar, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	objects := resolvetest.Objects{}
	for i, f := range ar.Files {
		if strings.HasSuffix(f.Name, ".yaml") {
			parsed, err := resolvetest.Parse(f.Name, f.Data)
			if err != nil {
				t.Fatal(err)
			}
			for ref, obj := range parsed {
				objects[ref] = obj
			}
			continue
		}
		got := ask(t, objects, f.Name)
		if !*update && !bytes.Equal(got, f.Data) {
			t.Errorf("%s:\n--- got\n%s--- want\n%s", f.Name, got, f.Data)
		}
		ar.Files[i].Data = got
	}
	if *update {
		if err := os.WriteFile(path, txtar.Format(ar), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// placed resolves objects, and finds all workloads but those named lost. Envoy
// cannot listen in one named unready.
func placed(objects resolvetest.Objects) (*model.Mesh, map[model.ObjectRef]*model.Status) {
	m, statuses := resolvetest.Mesh(objects)
	for k, w := range m.Workloads {
		if k.Name != "lost" {
			c := *w
			c.Place = &model.Place{Cookie: 1, Mount: "/run/sluice/netns/" + k.String(), Unready: k.Name == "unready"}
			m.Workloads[k] = &c
		}
	}
	return m, statuses
}

func ask(t *testing.T, objects resolvetest.Objects, section string) []byte {
	t.Helper()
	m, statuses := placed(objects)
	q, asJSON := parseQuery(t, section)
	a, err := explain.Explain(m, statuses, q)
	if err != nil {
		return []byte("error: " + err.Error() + "\n")
	}
	if !asJSON {
		return []byte(a.Text())
	}
	out, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(out, '\n')
}

// parseQuery reads a section's name: FROM TO [flags], with a header as NAME:VALUE.
// FROM is "outside" for a client outside.
func parseQuery(t *testing.T, section string) (q explain.Query, asJSON bool) {
	t.Helper()
	section, asJSON = strings.CutPrefix(section, "json ")
	words := strings.Fields(section)
	if len(words) < 2 {
		t.Fatalf("section %q: want FROM TO", section)
	}
	if words[0] != "outside" {
		q.From.Namespace, q.From.Name, _ = strings.Cut(words[0], "/")
	}
	q.To = words[1]
	fs := flag.NewFlagSet(section, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&q.Protocol, "protocol", "", "")
	fs.StringVar(&q.Method, "method", "", "")
	fs.StringVar(&q.Path, "path", "", "")
	fs.Func("gateway", "", func(s string) error {
		q.Gateway.Namespace, q.Gateway.Name, _ = strings.Cut(s, "/")
		return nil
	})
	fs.Func("H", "", func(s string) error {
		name, value, ok := strings.Cut(s, ":")
		if !ok {
			return fmt.Errorf("header %q", s)
		}
		q.Headers = append(q.Headers, model.Header{Name: name, Value: value})
		return nil
	})
	if err := fs.Parse(words[2:]); err != nil {
		t.Fatalf("section %q: %v", section, err)
	}
	return q, asJSON
}
