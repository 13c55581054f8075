package scheme

import (
	"hash/maphash"
	"strings"

	"go.yaml.in/yaml/v3"

	"sluice.io/sluice/source/syntax"
)

// isList tells v1 List, as kubectl get prints it, and the List of a kind that is
// read.
func isList(root *syntax.Node) bool {
	kind, items := syntax.Child(root, "kind"), syntax.Child(root, "items")
	if kind == nil || items == nil || items.Kind != yaml.SequenceNode {
		return false
	}
	of, ok := strings.CutSuffix(kind.Value, "List")
	return ok && (of == "" || kinds[of] != nil)
}

func (d *Decoder) list(root *syntax.Node, known func(uint64) *Item) []Item {
	var items []Item
	for i := 0; i+1 < len(root.Content); i += 2 {
		switch key := root.Content[i]; key.Value {
		case "apiVersion", "kind", "metadata", "items":
		default:
			it := Item{Line: key.Line}
			it.Findings = []Finding{{Line: key.Line, Message: key.Value + ": unknown field of a List"}}
			items = append(items, it)
		}
	}
	for _, node := range syntax.Child(root, "items").Content {
		digest, ok := digestOf(node)
		if ok && known != nil {
			if old := known(digest); old != nil && !old.Broken() { // findings are within
				items = append(items, old.movedTo(node))
				continue
			}
		}
		it := d.object(node)
		it.Digest = digest
		items = d.add(items, it)
	}
	return items
}

// movedTo is the item at another place, where the same content stands.
func (it *Item) movedTo(node *syntax.Node) Item {
	moved := *it
	moved.Line = firstLine(node)
	moved.RuleLines = ruleLines(node)
	moved.Findings = nil
	for _, f := range it.Findings {
		f.Line += moved.Line - it.Line
		moved.Findings = append(moved.Findings, f)
	}
	return moved
}

var digestSeed = maphash.MakeSeed()

// digestOf hashes a tree's content without its lines; false when it has aliases,
// whose content is elsewhere.
func digestOf(n *syntax.Node) (uint64, bool) {
	var h maphash.Hash
	h.SetSeed(digestSeed)
	ok := hashNode(&h, n, 0)
	if !ok {
		return 0, false
	}
	return h.Sum64() | 1, true
}

func hashNode(h *maphash.Hash, n *syntax.Node, depth int) bool {
	if n.Kind == yaml.AliasNode || n.Anchor != "" || depth > syntax.MaxDepth {
		return false
	}
	maphash.WriteComparable(h, [3]int{int(n.Kind), int(n.Style), len(n.Content)})
	h.WriteString(n.Tag)
	h.WriteByte(0)
	h.WriteString(n.Value)
	h.WriteByte(0)
	for _, child := range n.Content {
		if !hashNode(h, child, depth+1) {
			return false
		}
	}
	return true
}
