package syntax

import (
	"fmt"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Value turns a tree into maps, slices, strings, int64s, float64s, bools and
// nil, with the meaning that kubectl gives to YAML. A key given twice is an
// error, and so is whatever JSON cannot say.
func Value(root *Node) (any, []*Error) {
	c := &converter{}
	v := c.value(root)
	return v, c.errs
}

// converter is one run of Value.
type converter struct {
	errs []*Error
	// path leads to the current node.
	path []step
	// aliases is how many aliases the current node is below; expanded counts the
	// nodes that were made through aliases.
	aliases, expanded int
	// depth is how many nodes the current node is below.
	depth int
	// stopped is set when a bound was passed: nothing more is converted.
	stopped bool
}

// step is one element of a path: a name, or an index when name is empty.
type step struct {
	name  string
	index int
}

func (c *converter) fail(n *Node, format string, args ...any) any {
	path := ""
	for _, s := range c.path[:min(len(c.path), 20)] {
		if s.name != "" {
			path = Join(path, s.name)
		} else {
			path += "[" + strconv.Itoa(s.index) + "]"
		}
	}
	c.errs = append(c.errs, &Error{Line: n.Line, Path: path, Message: fmt.Sprintf(format, args...)})
	c.stopped = c.stopped || len(c.errs) >= maxErrors
	return nil
}

// maxErrors is how many errors Value finds in one document before it stops.
const maxErrors = 20

// at converts a child.
func (c *converter) at(s step, n *Node) any {
	c.path = append(c.path, s)
	v := c.value(n)
	c.path = c.path[:len(c.path)-1]
	return v
}

func (c *converter) value(n *Node) any {
	if c.stopped || !c.within(n) {
		c.stopped = true
		return nil
	}
	c.depth++
	defer func() { c.depth-- }()
	switch n.Kind {
	case yaml.MappingNode:
		return c.mapping(n)
	case yaml.SequenceNode:
		items := make([]any, 0, len(n.Content))
		for i, child := range n.Content {
			items = append(items, c.at(step{index: i}, child))
		}
		return items
	case yaml.AliasNode:
		c.aliases++
		defer func() { c.aliases-- }()
		return c.value(n.Alias)
	}
	v, err := scalar(n)
	if err != nil {
		return c.fail(n, "%v", err)
	}
	return v
}

// within checks the bounds. An anchor that holds itself passes the one on depth.
func (c *converter) within(n *Node) bool {
	if c.depth > MaxDepth {
		c.errs = append(c.errs, &Error{Line: n.Line, Message: tooDeep + ", or an anchor holds itself"})
		return false
	}
	if c.aliases > 0 {
		if c.expanded++; c.expanded > MaxExpanded {
			c.fail(n, "aliases stand for more than %d values: write them out, or fewer", MaxExpanded)
			return false
		}
	}
	return true
}

func (c *converter) mapping(n *Node) any {
	m := make(map[string]any, len(n.Content)/2)
	var merges []*Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, child := n.Content[i], n.Content[i+1]
		if isMerge(key) {
			merges = append(merges, child)
			continue
		}
		name, ok := c.key(key)
		if !ok {
			continue
		}
		if _, twice := m[name]; twice {
			c.path = append(c.path, step{name: name})
			c.fail(key, "given twice: first on line %d", firstLine(n, name))
			c.path = c.path[:len(c.path)-1]
			continue
		}
		m[name] = c.at(step{name: name}, child)
	}
	for _, from := range merges {
		c.merge(m, from)
	}
	return m
}

// firstLine is the line where a mapping first has a key.
func firstLine(n *Node, name string) int {
	if key, _ := childOf(n, name); key != nil {
		return key.Line
	}
	return n.Line
}

// merge adds the fields of a "<<" key that the mapping does not have itself.
func (c *converter) merge(m map[string]any, from *Node) {
	value := c.value(from)
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	for _, item := range list {
		fields, ok := item.(map[string]any)
		if !ok && !c.stopped {
			c.fail(from, "<< takes a mapping, or a list of mappings")
		}
		for name, value := range fields {
			if _, own := m[name]; !own {
				m[name] = value
			}
		}
	}
}

// key is a mapping's key as JSON has it: a string.
func (c *converter) key(n *Node) (string, bool) {
	for hops := 0; n.Kind == yaml.AliasNode && hops < MaxDepth; hops++ {
		n = n.Alias
	}
	if n.Kind != yaml.ScalarNode {
		c.fail(n, "a key must be text")
		return "", false
	}
	v, err := scalar(n)
	if err != nil {
		c.fail(n, "%v", err)
		return "", false
	}
	switch v := v.(type) {
	case string:
		return v, true
	case nil:
		c.fail(n, "a key must be text, is null")
		return "", false
	}
	return fmt.Sprint(v), true
}

func isMerge(n *Node) bool {
	return n.Kind == yaml.ScalarNode && n.Value == "<<" && n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0 &&
		n.Tag != "!!str"
}
