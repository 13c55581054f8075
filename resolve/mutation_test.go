package resolve_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	yamlv3 "go.yaml.in/yaml/v3"

	"sluice.io/sluice/resolve/resolvetest"
)

// TestStrangeObjects changes values all over the objects of the archives,
// whether or not a schema would let them pass. The resolver must take them, in
// whatever order to the same end, and forget them when they are gone.
func TestStrangeObjects(t *testing.T) {
	all := documents(t)
	gateways := slices.DeleteFunc(slices.Clone(all), func(doc []byte) bool {
		return !bytes.Contains(doc, []byte("edge")) && !bytes.Contains(doc, []byte("sluice"))
	})
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		objects := resolvetest.Objects{}
		docs, n := all, 12
		if seed%3 == 0 { // enough for gateways to meet what refers to them
			docs, n = gateways, 60
		}
		for range n {
			parsed, err := resolvetest.Parse("strange.yaml", mutate(t, rnd, docs[rnd.IntN(len(docs))]))
			if err != nil {
				continue // not even of the right types
			}
			for ref, obj := range parsed {
				if obj != nil {
					objects[ref] = obj
				}
			}
		}
		want := newWorld()
		want.update(objects)
		got := shuffled(t, objects, rnd)
		same(t, seed, got, want)
		for ref := range objects {
			objects[ref] = nil
		}
		got.update(objects)
		empty(t, seed, got)
		if t.Failed() {
			return
		}
	}
}

func empty(t *testing.T, seed uint64, w *world) {
	t.Helper()
	if n := len(w.mesh.Frontends) + len(w.mesh.Backends) + len(w.mesh.Endpoints) + len(w.mesh.Workloads) + len(w.mesh.Ports) + len(w.mesh.Hosts) +
		len(w.mesh.KeyPairs) + len(w.mesh.Bundles) + len(w.mesh.Announcements) + len(w.statuses); n > 0 {
		t.Errorf("seed %d: %d objects are left over", seed, n)
	}
}

// documents returns all YAML documents of the archives.
func documents(t *testing.T) [][]byte {
	t.Helper()
	var docs [][]byte
	for _, data := range inputs(t) {
		docs = append(docs, bytes.Split(data, []byte("\n---\n"))...)
	}
	return docs
}

// mutate changes a few values of a document.
func mutate(t *testing.T, rnd *rand.Rand, doc []byte) []byte {
	t.Helper()
	var root yamlv3.Node
	if err := yamlv3.Unmarshal(doc, &root); err != nil {
		t.Fatal(err)
	}
	var nodes []*yamlv3.Node
	var walk func(n *yamlv3.Node, key bool)
	walk = func(n *yamlv3.Node, key bool) {
		if !key {
			nodes = append(nodes, n)
		}
		for i, c := range n.Content {
			walk(c, n.Kind == yamlv3.MappingNode && i%2 == 0)
		}
	}
	walk(&root, false)
	for range rnd.IntN(4) {
		change(rnd, nodes[rnd.IntN(len(nodes))])
	}
	out, err := yamlv3.Marshal(&root)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func change(rnd *rand.Rand, n *yamlv3.Node) {
	switch n.Kind {
	case yamlv3.ScalarNode:
		values := []string{"", "/", "0", "1", "80", "-1", "65536", "4294967296", "[", "*", "a", "b", "shop", "lab", "cart", "None",
			"10.96.0.1", "fd00::1", "null", "Exact", "RegularExpression", "Service", "UDP", "2026-01-01T00:00:00Z", "1h", "%", "\x00",
			"443", "edge", "web", "http", "HTTP", "HTTPS", "TLS", "TCP", "All", "Same", "Selector", "Gateway", "ListenerSet", "*.example.com", "one.example.com", "Passthrough"}
		n.Value, n.Style = values[rnd.IntN(len(values))], 0
		if n.Tag == "!!str" {
			n.Style = yamlv3.DoubleQuotedStyle
		}
	case yamlv3.SequenceNode:
		if len(n.Content) > 0 {
			i := rnd.IntN(len(n.Content))
			if rnd.IntN(2) == 0 {
				n.Content = append(n.Content, n.Content[i])
			} else {
				n.Content = append(n.Content[:i:i], n.Content[i+1:]...)
			}
		}
	case yamlv3.MappingNode:
		if len(n.Content) > 1 {
			i := rnd.IntN(len(n.Content)/2) * 2
			n.Content = append(n.Content[:i:i], n.Content[i+2:]...)
		}
	}
}
