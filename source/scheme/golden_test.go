package scheme

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"sluice.io/sluice/crds"
	"sluice.io/sluice/model"
	"sluice.io/sluice/source/syntax"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden decodes in.yaml or in.json of each testdata/*.txtar: objects are
// the typed objects, problems what is wrong.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	d := New()
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { golden(t, d, name) })
	}
}

func golden(t *testing.T, d *Decoder, name string) {
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	in := archive.Files[0]
	format := syntax.YAML
	if in.Name == "in.json" {
		format = syntax.JSON
	}
	var objects, problems strings.Builder
	for _, doc := range syntax.Split(in.Data, format) {
		for _, it := range d.Decode(doc.Text, format, nil) {
			dump(t, &objects, &problems, doc.Line-1, it)
		}
	}
	archive.Files = []txtar.File{in}
	if objects.Len() > 0 {
		archive.Files = append(archive.Files, txtar.File{Name: "objects", Data: []byte(objects.String())})
	}
	archive.Files = append(archive.Files, txtar.File{Name: "problems", Data: []byte(problems.String())})
	got := txtar.Format(archive)
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

func dump(t *testing.T, objects, problems *strings.Builder, before int, it Item) {
	t.Helper()
	for _, f := range it.Findings {
		kind := "problem"
		if f.Warning {
			kind = "warning"
		}
		subject := ""
		if it.About != (model.ObjectRef{}) {
			subject = it.About.String() + ": "
		}
		fmt.Fprintf(problems, "%s line %d: %s%s\n", kind, before+f.Line, subject, f.Message)
	}
	if it.Object == nil {
		return
	}
	text, err := yaml.Marshal(it.Object)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(objects, "# %s, line %d", it.Ref, before+it.Line)
	if len(it.RuleLines) > 0 {
		objects.WriteString(", rules at")
		for _, line := range it.RuleLines {
			fmt.Fprintf(objects, " %d", before+line)
		}
	}
	objects.WriteString("\n")
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "status:") && !strings.HasPrefix(line, "  loadBalancer: {}") && !strings.HasPrefix(line, "  parents: null") {
			objects.WriteString(line)
		}
	}
}

// TestExamples decodes the Gateway API's own examples: the valid ones must all be
// valid, the invalid ones all invalid.
func TestExamples(t *testing.T) {
	d := New()
	objects := 0
	for _, file := range exampleFiles(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		broken, ours := 0, 0
		var findings []Finding
		for _, doc := range syntax.Split(text, syntax.YAML) {
			for _, it := range d.Decode(doc.Text, syntax.YAML, nil) {
				if it.Ref != (model.ObjectRef{}) {
					ours++
				}
				if it.Broken() {
					broken++
					findings = append(findings, it.Findings...)
				}
			}
		}
		objects += ours
		invalid := strings.Contains(file, "invalid-examples")
		if invalid && ours > 0 && broken == 0 || !invalid && broken > 0 {
			t.Errorf("%s: %d of %d objects are broken: %v", file, broken, ours, findings)
		}
	}
	if objects < 80 {
		t.Errorf("only %d objects: the examples are not where they were", objects)
	}
}

// TestVersions checks that the versions in the table are those that the CRDs serve.
func TestVersions(t *testing.T) {
	for _, k := range kinds {
		if k.plural == "" {
			continue
		}
		crd, err := crds.Load(k.group, k.plural)
		if err != nil {
			t.Fatal(err)
		}
		var served []string
		for _, v := range crd.Spec.Versions {
			if v.Served {
				served = append(served, v.Name)
			}
		}
		listed := k.versions()
		slices.Sort(served)
		slices.Sort(listed)
		if !slices.Equal(served, listed) {
			t.Errorf("%s: the CRD serves %v, the table has %v", k.name, served, listed)
		}
		if crd.Spec.Conversion != nil && crd.Spec.Conversion.Strategy != "None" {
			t.Errorf("%s: versions are converted by %s, not by name", k.name, crd.Spec.Conversion.Strategy)
		}
	}
}

// TestCompileAll compiles every schema.
func TestCompileAll(t *testing.T) {
	for name, compiled := range newSchemas() {
		if _, err := compiled(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
