package xds_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"sluice.io/sluice/model"
	"sluice.io/sluice/xds"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// A golden file holds a mesh in the sections frontends, backends, endpoints,
// workloads, ports, hosts, keypairs and bundles, each a JSON array of model objects,
// and what it must become in those of the sections clusters, assignments, secrets,
// listeners, scopes and routes that it is about.
var outputs = []string{"clusters", "assignments", "secrets", "listeners", "scopes", "routes"}

func goldens(t *testing.T) map[string]*txtar.Archive {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	out := map[string]*txtar.Archive{}
	for _, f := range files {
		a, err := txtar.ParseFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[f] = a
	}
	return out
}

func section(a *txtar.Archive, name string) *txtar.File {
	for i := range a.Files {
		if a.Files[i].Name == name {
			return &a.Files[i]
		}
	}
	return nil
}

// mesh reads the input sections.
func mesh(t *testing.T, a *txtar.Archive) *model.Delta {
	t.Helper()
	d := model.NewDelta()
	load(t, a, "frontends", func(f *model.Frontend) { d.Frontends[f.Key] = f })
	load(t, a, "backends", func(b *model.Backend) { d.Backends[b.Key] = b })
	load(t, a, "endpoints", func(e *model.Endpoints) { d.Endpoints[e.Key] = e })
	load(t, a, "workloads", func(w *model.Workload) { d.Workloads[w.Key] = w })
	load(t, a, "ports", func(g *model.GatewayPort) { d.Ports[g.Key] = g })
	load(t, a, "hosts", func(h *model.Host) { d.Hosts[h.Key] = h })
	load(t, a, "keypairs", func(k *model.KeyPair) { d.KeyPairs[k.Ref] = k })
	load(t, a, "bundles", func(b *model.Bundle) { d.Bundles[b.Ref] = b })
	return d
}

func load[T any](t *testing.T, a *txtar.Archive, name string, add func(*T)) {
	t.Helper()
	s := section(a, name)
	if s == nil {
		return
	}
	var all []*T
	dec := json.NewDecoder(bytes.NewReader(s.Data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&all); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for _, v := range all {
		add(v)
	}
}

func TestGolden(t *testing.T) {
	for file, a := range goldens(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			got := translated(t, mesh(t, a))
			compared := 0
			for _, name := range outputs {
				s := section(a, name)
				if s == nil {
					continue
				}
				compared++
				if *update {
					s.Data = got[name]
				} else if !bytes.Equal(s.Data, got[name]) {
					t.Errorf("%s: got\n%s\nwant\n%s", name, got[name], s.Data)
				}
			}
			if compared == 0 {
				t.Fatal("the file wants nothing")
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// translated is what a mesh becomes, by section. What is always there (the detour
// of mirrored requests) is left out, but for a mesh that mirrors.
func translated(t *testing.T, d *model.Delta) map[string][]byte {
	t.Helper()
	m := model.NewMesh()
	m.Apply(d)
	b, err := json.Marshal(xds.Translate(m, xds.DefaultNetnsDir))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string][]json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	all["assignments"] = all["endpoints"]
	mirrors := strings.Contains(string(b), "x-sluice-mirror-to\",\"value")
	out := map[string][]byte{}
	for _, name := range outputs {
		var text bytes.Buffer
		for _, r := range all[name] {
			if !mirrors && bytes.Contains(r, []byte(`"name":"sluice:mirror`)) {
				continue
			}
			if err := json.Indent(&text, r, "", " "); err != nil {
				t.Fatal(err)
			}
			text.WriteByte('\n')
		}
		out[name] = text.Bytes()
	}
	return out
}

// TestGoldenValid brings each golden mesh to the real Envoy, which must take all
// of it.
func TestGoldenValid(t *testing.T) {
	w, ca := newEdge(t), newAuthority(t, "ca")
	w.apply(model.NewDelta())
	w.ready()
	cert, private := ca.issue(false, "a.example.com")
	for file, a := range goldens(t) {
		d := mesh(t, a)
		clear(d.Workloads)             // their network namespaces are not there
		for _, k := range d.KeyPairs { // never written as JSON
			k.Certificates, k.PrivateKey = cert, private
		}
		for _, b := range d.Bundles {
			b.Certificates = ca.pem
		}
		w.apply(d)
		for _, r := range w.world.server.Status().Rejected {
			t.Errorf("%s: Envoy rejects %s %s: %s", file, r.Kind, r.Name, r.Message)
		}
		gone := model.NewDelta()
		for k := range d.Frontends {
			gone.Frontends[k] = nil
		}
		for k := range d.Backends {
			gone.Backends[k] = nil
		}
		for k := range d.Endpoints {
			gone.Endpoints[k] = nil
		}
		for k := range d.Ports {
			gone.Ports[k] = nil
		}
		for k := range d.Hosts {
			gone.Hosts[k] = nil
		}
		w.apply(gone)
	}
	n := w.world.server.Status().Resources
	if n["routes"]+n["scopes"]+n["secrets"]+n["endpoints"] != 0 || n["clusters"] != 2 || n["listeners"] != 1 {
		t.Errorf("left over: %v", n)
	}
}
