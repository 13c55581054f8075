package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	"google.golang.org/protobuf/proto"

	"sluice.io/sluice/agent"
	"sluice.io/sluice/model"
	"sluice.io/sluice/redirect"
	"sluice.io/sluice/resolve"
	"sluice.io/sluice/source"
	"sluice.io/sluice/source/scheme"
	"sluice.io/sluice/source/syntax"
	"sluice.io/sluice/xds"
	xdstranslate "sluice.io/sluice/xds/translate"
)

// FuzzTranslate takes the text of a file all the way: decoded, resolved, and made
// into Envoy's configuration and the kernel's entries. Nothing panics, Envoy's
// own rules find no fault in any resource, each frontend that routes HTTP has
// its routes, and all can be printed. Objects that `sluice run` would refuse
// for their content (checked) are taken as well, as from a cluster that has
// admitted them.
func FuzzTranslate(f *testing.F) {
	for _, text := range folders(f) {
		f.Add(text, true)
		f.Add(text, false)
	}
	careful, trusting := scheme.New(), scheme.New()
	careful.Check = resolve.Check
	f.Fuzz(func(t *testing.T, text []byte, checked bool) {
		d := trusting
		if checked {
			d = careful
		}
		result := resolve.New().Update(decoded(d, text))
		mesh := model.NewMesh()
		mesh.Apply(result.Delta)
		place(mesh, agent.Paths{RunDir: "/run/sluice"})
		resources := xds.Translate(mesh, xds.DefaultNetnsDir)
		checkResources(t, resources)
		checkRoutes(t, mesh, resources)
		_, err := json.Marshal(translation{
			Envoy: encoded(t, resources), Kernel: redirect.Plan(mesh), Statuses: sortedStatuses(result.Statuses),
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// folders returns the YAML of resolve's golden files.
func folders(t testing.TB) [][]byte {
	t.Helper()
	paths, err := filepath.Glob("../../resolve/testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d archives, %v", len(paths), err)
	}
	var out [][]byte
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range archive.Files {
			if strings.HasSuffix(file.Name, ".yaml") {
				out = append(out, file.Data)
			}
		}
	}
	return out
}

// decoded returns the usable objects of a file.
func decoded(d *scheme.Decoder, text []byte) map[model.ObjectRef]*source.Object {
	out := map[model.ObjectRef]*source.Object{}
	for _, doc := range syntax.Split(text, syntax.YAML) {
		for _, it := range d.Decode(doc.Text, syntax.YAML, nil) {
			if it.Object == nil || it.Broken() {
				continue
			}
			out[it.Ref] = &source.Object{
				KubeObject: it.Object, RuleLines: it.RuleLines,
				Origin: model.Origin{Object: it.Ref, Rule: -1, File: "fuzz.yaml", Line: it.Line},
			}
		}
	}
	return out
}

// checkResources expects Envoy's own rules to hold for all resources.
func checkResources(t *testing.T, r xds.Resources) {
	t.Helper()
	for _, ms := range [][]proto.Message{r.Clusters, r.Endpoints, r.Secrets, r.Listeners, r.Routes} {
		for _, m := range ms {
			if err := m.(interface{ ValidateAll() error }).ValidateAll(); err != nil {
				t.Errorf("Envoy would refuse %v: %v", m, err)
			}
		}
	}
}

// checkRoutes expects each frontend that routes HTTP to have routes in each
// family that it has addresses of.
func checkRoutes(t *testing.T, mesh *model.Mesh, r xds.Resources) {
	t.Helper()
	names := map[string]bool{}
	for _, m := range r.Routes {
		names[m.(interface{ GetName() string }).GetName()] = true
	}
	for key, f := range mesh.Frontends {
		if f.HTTP == nil {
			continue
		}
		for _, vip := range f.VIPs {
			if name := xdstranslate.RoutesName(key, xdstranslate.FamilyOf(vip)); !names[name] {
				t.Errorf("%s at %s routes HTTP, and there are no routes %s", key, vip, name)
			}
		}
	}
}

func encoded(t *testing.T, r xds.Resources) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
