package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/yaml"

	"sluice.io/sluice/agent"
	"sluice.io/sluice/redirect"
)

// TestGoldenTables shows a folder in the tables of `status` and `get`, which a
// script cannot: they ask a running agent, which needs root.
func TestGoldenTables(t *testing.T) {
	files, err := filepath.Glob("testdata/tables/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			path, err := filepath.Abs(path)
			if err != nil {
				t.Fatal(err)
			}
			input := unpack(t, archive)
			got := tables(t)
			if *update {
				archive.Files = slices.Concat(input, got)
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want := archive.Files[len(input):]
			if len(want) != len(got) {
				t.Fatalf("%d outputs are expected, there are %d: `make golden` rewrites them", len(want), len(got))
			}
			for i := range got {
				if string(want[i].Data) != string(got[i].Data) {
					t.Errorf("%s is\n%s\nwant\n%s", got[i].Name, got[i].Data, want[i].Data)
				}
			}
		})
	}
}

// unpack writes the folder mesh of an archive into a new working directory, and
// returns its files.
func unpack(t *testing.T, archive *txtar.Archive) (input []txtar.File) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, f := range archive.Files {
		if !strings.HasPrefix(f.Name, "mesh/") {
			continue
		}
		input = append(input, f)
		if err := os.MkdirAll(filepath.Dir(f.Name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f.Name, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return input
}

// tables is what the verbs print of an archive's folder.
func tables(t *testing.T) (printed []txtar.File) {
	t.Helper()
	mesh, result, problems, err := loadFolder("mesh")
	if err != nil {
		t.Fatal(err)
	}
	place(mesh, agent.Paths{RunDir: "/run/sluice"})
	doc := agent.NewDocument(mesh, mesh.Workloads, result.Statuses)
	status := &agent.Status{Ready: true, Source: "mesh", Cgroup: "/sys/fs/cgroup", Attached: true, Problems: problems}
	status.Objects = sortedStatuses(result.Statuses)
	show := func(name string, table func(io.Writer)) {
		var b strings.Builder
		table(&b)
		printed = append(printed, txtar.File{Name: name, Data: []byte(b.String())})
	}
	show("status", func(w io.Writer) { printStatus(w, status, false) })
	show("get services", func(w io.Writer) { printServices(w, doc) })
	show("get routes", func(w io.Writer) { printRoutes(w, doc) })
	if len(doc.Gateways) > 0 {
		show("get gateways", func(w io.Writer) { printGatewayList(w, doc) })
	}
	show("get workloads", func(w io.Writer) { printWorkloads(w, doc) })
	show("get maps", func(w io.Writer) { printMaps(w, redirect.Plan(mesh)) })
	return printed
}

// TestPartsAreWholeObjects proves that -o yaml shows what the tables leave out,
// and that it reads back as the same objects.
func TestPartsAreWholeObjects(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/tables/shop.txtar")
	if err != nil {
		t.Fatal(err)
	}
	unpack(t, archive)
	mesh, result, _, err := loadFolder("mesh")
	if err != nil {
		t.Fatal(err)
	}
	doc := agent.NewDocument(mesh, mesh.Workloads, result.Statuses)
	var b strings.Builder
	if err := output("yaml").print(&b, part("routes", doc), nil); err != nil {
		t.Fatal(err)
	}
	var back routed
	if err := yaml.UnmarshalStrict([]byte(b.String()), &back); err != nil {
		t.Fatal(err)
	}
	if len(back.Frontends) == 0 {
		t.Fatal("no routes are shown")
	}
	for _, f := range back.Frontends {
		if f.HTTP == nil && f.L4 == nil {
			t.Errorf("%s has no rules", f.Key)
		}
		if want := mesh.Frontends[f.Key]; want == nil || want.Origin != f.Origin {
			t.Errorf("%s comes from %v, want that of %v", f.Key, f.Origin, want)
		}
	}
}
