package scheme

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/yaml"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source/syntax"
)

// hostile are texts that are made to cost much or to break something.
func hostile() []string {
	laughs := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'l'; c++ {
		laughs += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+",", 9) + "]\n"
	}
	return []string{
		laughs,
		"metadata: {name: a}\nkind: Service\napiVersion: v1\n" + laughs,
		strings.Repeat("[", 20000),
		strings.Repeat("{a: ", 20000),
		strings.Repeat("- ", 5000) + "x",
		strings.Repeat("? ", 2000),
		strings.Repeat("a:\n", 1) + strings.Repeat(" ", 9000) + "b: c",
		"<<: " + strings.Repeat("[{<<: ", 60) + "x" + strings.Repeat("}]", 60),
		"a: &x {b: *x}",
		"&a *a: b",
		"--- &a\n? *a\n: x",
		"kind: !!binary aGk=\napiVersion: !!float 1",
		"apiVersion: v1\nkind: List\nitems: &i [*i]",
		"apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: List, items: []}]",
		"apiVersion: v1\nkind: Service\nmetadata: {name: a, creationTimestamp: yesterday}",
		"apiVersion: v1\nkind: Service\nmetadata: {name: a, creationTimestamp: {}, annotations: null, labels: [], ownerReferences: [null]}\nspec: {ports: [null]}",
		"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: a}\nspec: {rules: [null, {}, {matches: [null]}]}",
		"apiVersion: sluice.io/v1alpha1\nkind: Workload\nmetadata: {name: a}\nspec: null",
		"\xff\xfe", "\x00", "%YAML 9.9\n---\na", "---\n...\n---\n...", "a: \"\\ud800\"", "\ufeffkind: Service",
	}
}

// FuzzDecode decodes any text as YAML and as JSON: nothing panics, all lines are
// within the text, and an object that was decoded is valid when it is written
// out and read again, with the same result.
func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, name := range files {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		format := syntax.YAML
		if archive.Files[0].Name == "in.json" {
			format = syntax.JSON
		}
		for _, doc := range syntax.Split(archive.Files[0].Data, format) {
			f.Add(doc.Text, format == syntax.JSON)
		}
	}
	for _, text := range hostile() {
		f.Add([]byte(text), false)
		f.Add([]byte(text), true)
	}
	d := New()
	f.Fuzz(func(t *testing.T, text []byte, isJSON bool) {
		format := syntax.YAML
		if isJSON {
			format = syntax.JSON
		}
		for _, it := range d.Decode(text, format, nil) {
			checkItem(t, d, it, 1+bytes.Count(text, []byte("\n")))
		}
	})
}

func checkItem(t *testing.T, d *Decoder, it Item, lines int) {
	within := func(line int) {
		if line < 1 || line > lines {
			t.Fatalf("line %d of %d: %+v", line, lines, it)
		}
	}
	within(it.Line)
	for _, f := range it.Findings {
		within(f.Line)
		if f.Message == "" || len(f.Message) > 4096 {
			t.Fatalf("a message of %d bytes", len(f.Message))
		}
	}
	for _, line := range it.RuleLines {
		within(line)
	}
	if it.Object == nil {
		return
	}
	if it.Broken() || it.Ref == (model.ObjectRef{}) || it.Ref.Name != it.Object.GetName() || it.Ref.Namespace != it.Object.GetNamespace() {
		t.Fatalf("the object does not fit its item: %+v", it)
	}
	text, err := yaml.Marshal(it.Object)
	if err != nil {
		t.Fatal(err)
	}
	again := d.Decode(text, syntax.YAML, nil)
	if len(again) != 1 || again[0].Object == nil || again[0].Ref != it.Ref {
		t.Fatalf("written out it is invalid: %+v\n%s", again, text)
	}
	if !equality.Semantic.DeepEqual(again[0].Object, it.Object) {
		t.Fatalf("written out it is another:\n%s", text)
	}
}
