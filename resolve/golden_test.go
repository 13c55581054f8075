package resolve_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	yamlv3 "go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve"
	"sluice.io/sluice/resolve/resolvetest"
)

var update = flag.Bool("update", false, "rewrite the golden sections")

// TestGolden runs the archives in testdata. The files of an archive are taken
// in order:
//
//	*.yaml             objects that change, in one update
//	frontends [KEY...] the frontends whose keys begin so (with _ for a space), as
//	                   the mesh has them now
//	backends, endpoints, workloads, ports, hosts, keypairs, bundles,
//	announcements, statuses likewise
//	delta              the keys that the last update changed
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
	w := newWorld()
	for i, f := range ar.Files {
		if strings.HasSuffix(f.Name, ".yaml") {
			objects, err := resolvetest.Parse(f.Name, f.Data)
			if err != nil {
				t.Fatal(err)
			}
			w.update(objects)
			continue
		}
		got := w.show(t, strings.Fields(f.Name))
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

// world is a resolver with all that it has said so far.
type world struct {
	resolver *resolve.Resolver
	mesh     *model.Mesh
	statuses map[model.ObjectRef]*model.Status
	last     resolve.Result
}

func newWorld() *world {
	return &world{resolver: resolve.New(), mesh: model.NewMesh(), statuses: map[model.ObjectRef]*model.Status{}}
}

func (w *world) update(objects resolvetest.Objects) {
	w.last = w.resolver.Update(objects)
	w.mesh.Apply(w.last.Delta)
	for ref, st := range w.last.Statuses {
		if st == nil {
			delete(w.statuses, ref)
		} else {
			w.statuses[ref] = st
		}
	}
}

func (w *world) show(t *testing.T, words []string) []byte {
	t.Helper()
	if len(words) == 0 {
		t.Fatal("a section has no name")
	}
	for i := range words[1:] {
		words[i+1] = strings.ReplaceAll(words[i+1], "_", " ")
	}
	switch words[0] {
	case "frontends":
		return dump(t, w.mesh.Frontends, words[1:])
	case "backends":
		return dump(t, w.mesh.Backends, words[1:])
	case "endpoints":
		return dump(t, w.mesh.Endpoints, words[1:])
	case "workloads":
		return dump(t, w.mesh.Workloads, words[1:])
	case "ports":
		return dump(t, w.mesh.Ports, words[1:])
	case "hosts":
		return dump(t, w.mesh.Hosts, words[1:])
	case "keypairs":
		return dump(t, w.mesh.KeyPairs, words[1:])
	case "bundles":
		return dump(t, w.mesh.Bundles, words[1:])
	case "announcements":
		return dump(t, w.mesh.Announcements, words[1:])
	case "statuses":
		return conditions(w.statuses, words[1:])
	case "delta":
		return w.changes()
	}
	t.Fatalf("section %q is not known", words[0])
	return nil
}

type key interface {
	comparable
	String() string
}

func sortedKeys[K key, V any](m map[K]V, prefixes []string) []K {
	keys := slices.SortedFunc(maps.Keys(m), func(a, b K) int { return cmp.Compare(a.String(), b.String()) })
	return slices.DeleteFunc(keys, func(k K) bool {
		return len(prefixes) > 0 && !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(k.String(), p) })
	})
}

// dump writes model objects as YAML, titled by their keys.
func dump[K key, V any](t *testing.T, m map[K]V, prefixes []string) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, k := range sortedKeys(m, prefixes) {
		var fields map[string]any
		raw, err := json.Marshal(m[k])
		if err != nil {
			t.Fatal(err)
		}
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		if err := dec.Decode(&fields); err != nil {
			t.Fatal(err)
		}
		delete(fields, "key")
		var doc yamlv3.Node
		if err := doc.Encode(map[string]any{k.String(): fold(fields)}); err != nil {
			t.Fatal(err)
		}
		for _, c := range doc.Content {
			for _, v := range c.Content {
				flow(v)
			}
			flow(c)
			c.Style = 0
		}
		enc := yamlv3.NewEncoder(&b)
		enc.SetIndent(2)
		if err := enc.Encode(&doc); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// fold writes origins, keys and references as strings.
func fold(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = fold(v[i])
		}
	case map[string]any:
		if short, ok := foldName(v); ok {
			return short
		}
		for k := range v {
			v[k] = fold(v[k])
			if n, ok := v[k].(int64); ok && durations[k] {
				v[k] = time.Duration(n).String()
			}
		}
	case json.Number:
		n, err := v.Int64()
		if err != nil {
			return v.String()
		}
		return n
	}
	return v
}

// durations are the fields that hold nanoseconds.
var durations = map[string]bool{
	"affinity": true, "backendRequest": true, "backoff": true, "maxAge": true, "request": true, "ttl": true,
}

func foldName(v map[string]any) (string, bool) {
	raw, _ := json.Marshal(v)
	has := func(key string) bool { _, ok := v[key]; return ok }
	switch {
	case has("object") && has("rule"):
		var o model.Origin
		err := json.Unmarshal(raw, &o)
		return o.String(), err == nil
	case has("gateway") && has("port") && has("protocol"):
		var k model.PortKey
		err := json.Unmarshal(raw, &k)
		return k.String(), err == nil
	case has("protocol") && has("port") && has("name"):
		var k model.BackendKey
		err := json.Unmarshal(raw, &k)
		return k.String(), err == nil
	case has("kind") && has("name") && !has("value"):
		var r model.ObjectRef
		err := json.Unmarshal(raw, &r)
		return r.String(), err == nil
	}
	return "", false
}

// flow writes mappings of a few plain values on one line.
func flow(n *yamlv3.Node) {
	plain := n.Kind == yamlv3.MappingNode || n.Kind == yamlv3.SequenceNode
	for _, c := range n.Content {
		flow(c)
		plain = plain && (c.Kind == yamlv3.ScalarNode || c.Style == yamlv3.FlowStyle)
	}
	if plain && size(n) <= 70 {
		n.Style = yamlv3.FlowStyle
	}
}

func size(n *yamlv3.Node) int {
	total := len(n.Value) + 2
	for _, c := range n.Content {
		total += size(c)
	}
	return total
}

// conditions writes statuses as lines.
func conditions(m map[model.ObjectRef]*model.Status, prefixes []string) []byte {
	var b bytes.Buffer
	write := func(cs []model.Condition, indent string) {
		for _, c := range cs {
			b.WriteString(indent + c.Type + "=" + map[bool]string{true: "True", false: "False"}[c.Status] + " " + c.Reason + "\n" + indent + "  " + c.Message + "\n")
		}
	}
	for _, ref := range sortedKeys(m, prefixes) {
		st := m[ref]
		b.WriteString(ref.String() + " (" + st.Origin.Position() + ")\n")
		write(st.Conditions, "  ")
		if st.AttachedListenerSets > 0 {
			fmt.Fprintf(&b, "  attached ListenerSets: %d\n", st.AttachedListenerSets)
		}
		if len(st.Features) > 0 {
			fmt.Fprintf(&b, "  features: %d\n", len(st.Features))
		}
		for _, l := range st.Listeners {
			fmt.Fprintf(&b, "  listener %s kinds %v routes %d\n", l.Name, l.Kinds, l.AttachedRoutes)
			write(l.Conditions, "    ")
		}
		for _, p := range st.Parents {
			name := p.Parent.String()
			if p.Port != 0 {
				name += " port " + strconv.Itoa(int(p.Port))
			}
			if p.Section != "" {
				name += " section " + p.Section
			}
			b.WriteString("  parent " + name + "\n")
			write(p.Conditions, "    ")
		}
	}
	return b.Bytes()
}

// changes writes the keys of the last update.
func (w *world) changes() []byte {
	var b bytes.Buffer
	list(&b, "frontend", w.last.Delta.Frontends)
	list(&b, "backend", w.last.Delta.Backends)
	list(&b, "endpoints", w.last.Delta.Endpoints)
	list(&b, "workload", w.last.Delta.Workloads)
	list(&b, "port", w.last.Delta.Ports)
	list(&b, "host", w.last.Delta.Hosts)
	list(&b, "keypair", w.last.Delta.KeyPairs)
	list(&b, "bundle", w.last.Delta.Bundles)
	list(&b, "announcement", w.last.Delta.Announcements)
	list(&b, "status", w.last.Statuses)
	return b.Bytes()
}

func list[K key, V any](b *bytes.Buffer, what string, m map[K]*V) {
	for _, k := range sortedKeys(m, nil) {
		sign := "~ "
		if m[k] == nil {
			sign = "- "
		}
		b.WriteString(sign + what + " " + k.String() + "\n")
	}
}
