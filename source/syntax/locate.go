package syntax

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Join is the path of a field below a path. A name that a dotted path could not
// be told from is put in brackets.
func Join(path, name string) string {
	if name == "" || strings.ContainsAny(name, ".[]/ ") {
		return path + "[" + name + "]"
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// Line finds the line of the field at a path such as spec.rules[0].name or
// metadata.labels[app]; when there is no such field, the line of the nearest
// thing around it. It is 0 when root is nil.
func Line(root *Node, path string) int {
	if root == nil {
		return 0
	}
	line, n := root.Line, root
	for path != "" {
		var name string
		name, path = nextStep(path)
		key, child := childOf(n, name)
		if child == nil {
			break
		}
		line, n = key.Line, child
	}
	return line
}

// nextStep takes the first element off a path.
func nextStep(path string) (name, rest string) {
	path = strings.TrimPrefix(path, ".")
	if strings.HasPrefix(path, "[") {
		if end := strings.IndexByte(path, ']'); end > 0 {
			return path[1:end], path[end+1:]
		}
		return path[1:], ""
	}
	if end := strings.IndexAny(path, ".["); end > 0 {
		return path[:end], path[end:]
	}
	return path, ""
}

// childOf returns the node whose line names the child, and the child.
func childOf(n *Node, name string) (key, child *Node) {
	for hops := 0; n.Kind == yaml.AliasNode && hops < MaxDepth; hops++ {
		n = n.Alias
	}
	switch n.Kind {
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i], n.Content[i]
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == name {
				return n.Content[i], n.Content[i+1]
			}
		}
	}
	return nil, nil
}

// Child returns the value of a field of a mapping, or nil.
func Child(n *Node, name string) *Node {
	if n == nil {
		return nil
	}
	_, child := childOf(n, name)
	for hops := 0; child != nil && child.Kind == yaml.AliasNode && hops < MaxDepth; hops++ {
		child = child.Alias
	}
	return child
}
