package resolve_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/resolvetest"
)

// TestOrderDoesNotMatter applies the objects of each archive one by one in many
// orders, with deletions, second versions and deletions of what was never
// there in between, and wants the mesh and the statuses that loading them all at
// once gives. It also wants every change that is reported to be one.
func TestOrderDoesNotMatter(t *testing.T) {
	for file, objects := range archives(t) {
		t.Run(file, func(t *testing.T) {
			want := newWorld()
			want.update(objects)
			for seed := range uint64(40) {
				got := shuffled(t, objects, rand.New(rand.NewPCG(seed, 1)))
				same(t, seed, got, want)
				if t.Failed() {
					return
				}
			}
		})
	}
}

// archives returns the last state of the objects of each archive.
func archives(t *testing.T) map[string]resolvetest.Objects {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("find archives: %d found, %v", len(paths), err)
	}
	out := map[string]resolvetest.Objects{}
	everything := resolvetest.Objects{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		objects := resolvetest.Objects{}
		for _, f := range txtar.Parse(text).Files {
			if !strings.HasSuffix(f.Name, ".yaml") {
				continue
			}
			changed, err := resolvetest.Parse(f.Name, f.Data)
			if err != nil {
				t.Fatal(err)
			}
			for ref, obj := range changed {
				if obj == nil {
					delete(objects, ref)
				} else {
					objects[ref] = obj
					everything[ref] = obj
				}
			}
		}
		out[filepath.Base(path)] = objects
	}
	out["everything"] = everything
	return out
}

// shuffled applies the objects one or a few at a time, in an order of chance.
func shuffled(t *testing.T, objects resolvetest.Objects, rnd *rand.Rand) *world {
	t.Helper()
	var refs []model.ObjectRef
	for ref := range objects {
		for range 1 + rnd.IntN(3) {
			refs = append(refs, ref)
		}
	}
	rnd.Shuffle(len(refs), func(i, j int) { refs[i], refs[j] = refs[j], refs[i] })
	final := map[model.ObjectRef]int{}
	for i, ref := range refs {
		final[ref] = i
	}
	w := newWorld()
	for i := 0; i < len(refs); {
		batch := resolvetest.Objects{}
		for range 1 + rnd.IntN(3) {
			if i == len(refs) {
				break
			}
			ref := refs[i]
			switch {
			case final[ref] == i:
				batch[ref] = objects[ref]
			case rnd.IntN(2) == 0:
				batch[ref] = nil
			default:
				batch[ref] = objects[refs[rnd.IntN(len(refs))]]
				if batch[ref].Origin.Object != ref {
					batch[ref] = objects[ref]
				}
			}
			i++
		}
		apply(t, w, batch)
	}
	return w
}

// apply updates the world and checks that each reported change is one.
func apply(t *testing.T, w *world, batch resolvetest.Objects) {
	t.Helper()
	before := model.NewMesh()
	before.Apply(w.mesh.All())
	statuses := map[model.ObjectRef]*model.Status{}
	for ref, st := range w.statuses {
		statuses[ref] = st
	}
	w.update(batch)
	idle(t, "frontend", before.Frontends, w.last.Delta.Frontends)
	idle(t, "backend", before.Backends, w.last.Delta.Backends)
	idle(t, "endpoints", before.Endpoints, w.last.Delta.Endpoints)
	idle(t, "workload", before.Workloads, w.last.Delta.Workloads)
	idle(t, "port", before.Ports, w.last.Delta.Ports)
	idle(t, "host", before.Hosts, w.last.Delta.Hosts)
	idle(t, "keypair", before.KeyPairs, w.last.Delta.KeyPairs)
	idle(t, "bundle", before.Bundles, w.last.Delta.Bundles)
	idle(t, "announcement", before.Announcements, w.last.Delta.Announcements)
	idle(t, "status", statuses, w.last.Statuses)
}

func idle[K key, V any](t *testing.T, what string, before, changed map[K]*V) {
	t.Helper()
	for k, v := range changed {
		if reflect.DeepEqual(before[k], v) {
			t.Errorf("%s %s is reported as changed, but it is not", what, k)
		}
	}
}

func same(t *testing.T, seed uint64, got, want *world) {
	t.Helper()
	differ(t, seed, "frontend", got.mesh.Frontends, want.mesh.Frontends)
	differ(t, seed, "backend", got.mesh.Backends, want.mesh.Backends)
	differ(t, seed, "endpoints", got.mesh.Endpoints, want.mesh.Endpoints)
	differ(t, seed, "workload", got.mesh.Workloads, want.mesh.Workloads)
	differ(t, seed, "port", got.mesh.Ports, want.mesh.Ports)
	differ(t, seed, "host", got.mesh.Hosts, want.mesh.Hosts)
	differ(t, seed, "keypair", got.mesh.KeyPairs, want.mesh.KeyPairs)
	differ(t, seed, "bundle", got.mesh.Bundles, want.mesh.Bundles)
	differ(t, seed, "announcement", got.mesh.Announcements, want.mesh.Announcements)
	differ(t, seed, "status", got.statuses, want.statuses)
}

func differ[K key, V any](t *testing.T, seed uint64, what string, got, want map[K]*V) {
	t.Helper()
	for k := range got {
		if want[k] == nil {
			t.Errorf("seed %d: %s %s should not be there", seed, what, k)
		}
	}
	for k, v := range want {
		if !reflect.DeepEqual(got[k], v) {
			t.Errorf("seed %d: %s %s:\ngot  %s\nwant %s", seed, what, k, text(got[k]), text(v))
		}
	}
}

func text(v any) string { return fmt.Sprintf("%+v", v) }
