// Package values reads a chart's values.yaml with its comments, and makes of it
// the schema that helm holds users' values to, and a table for people.
//
// It owns the marks that a comment may have. It must not know which values there
// are.
package values

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Value is a key of values.yaml.
type Value struct {
	Path    []string
	Text    string // What it is for.
	Default *yaml.Node
	Enum    []string
	Types   []string // JSON's names of types.
	Minimum *int
	Maximum *int
	Pattern string   // A regular expression that a text has to match.
	Of      []*Value // Its keys; none when it is open to any.
}

// Parse reads a values.yaml. Every key must have a comment.
func Parse(data []byte) (*Value, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("read values: %w", err)
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("read values: there are none")
	}
	root := &Value{Default: doc.Content[0], Types: []string{"object"}}
	return root, root.parseKeys()
}

func (v *Value) parseKeys() error {
	for i := 0; i+1 < len(v.Default.Content); i += 2 {
		key, value := v.Default.Content[i], v.Default.Content[i+1]
		of := &Value{Path: append(slices.Clone(v.Path), key.Value), Default: value}
		if err := of.parseComment(key.HeadComment); err != nil {
			return fmt.Errorf("line %d: %s: %w", key.Line, of.Name(), err)
		}
		if of.Types == nil {
			of.Types = []string{typeOf(value)}
		}
		// A mapping is ours to name the keys of when its keys are commented.
		if value.Kind == yaml.MappingNode && len(value.Content) > 0 && value.Content[0].HeadComment != "" {
			if err := of.parseKeys(); err != nil {
				return err
			}
		}
		v.Of = append(v.Of, of)
	}
	return nil
}

// parseComment reads the text and the marks of a comment. What a blank line parts
// from the rest belongs to the file, not to the key.
func (v *Value) parseComment(comment string) error {
	if i := strings.LastIndex(comment, "\n\n"); i >= 0 {
		comment = comment[i+2:]
	}
	var text []string
	for line := range strings.Lines(comment) {
		line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "#"))
		if !strings.HasPrefix(line, "@") {
			text = append(text, line)
			continue
		}
		if err := v.parseMark(line); err != nil {
			return err
		}
	}
	v.Text = strings.TrimSpace(strings.Join(text, " "))
	if v.Text == "" {
		return errors.New("it has no comment")
	}
	return nil
}

func (v *Value) parseMark(mark string) error {
	name, rest, _ := strings.Cut(mark, " ")
	rest = strings.TrimSpace(rest)
	switch name {
	case "@enum":
		v.Enum = strings.Split(rest, "|")
	case "@type":
		v.Types = strings.Split(rest, "|")
	case "@min", "@max":
		n, err := strconv.Atoi(rest)
		if err != nil {
			return fmt.Errorf("mark %s: %w", mark, err)
		}
		if name == "@min" {
			v.Minimum = &n
		} else {
			v.Maximum = &n
		}
	case "@pattern":
		if _, err := regexp.Compile(rest); err != nil {
			return fmt.Errorf("mark %s: %w", mark, err)
		}
		v.Pattern = rest
	default:
		return fmt.Errorf("there is no mark %s", name)
	}
	return nil
}

func typeOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "object"
	case n.Kind == yaml.SequenceNode:
		return "array"
	case n.Tag == "!!bool":
		return "boolean"
	case n.Tag == "!!int":
		return "integer"
	case n.Tag == "!!float":
		return "number"
	}
	return "string"
}

// Name is the key's path, with dots.
func (v *Value) Name() string { return strings.Join(v.Path, ".") }

// Schema is the JSON schema of the values.
func Schema(root *Value) ([]byte, error) {
	s := root.schema()
	s["$schema"] = "http://json-schema.org/draft-07/schema#"
	// Helm hands these to every chart that is a part of another one.
	s["properties"].(map[string]any)["global"] = map[string]any{"type": "object"}
	b, err := json.MarshalIndent(s, "", "  ")
	return append(b, '\n'), err
}

func (v *Value) schema() map[string]any {
	s := map[string]any{}
	if len(v.Types) == 1 {
		s["type"] = v.Types[0]
	} else {
		s["type"] = v.Types
	}
	if v.Text != "" {
		s["description"] = v.Text
	}
	if v.Enum != nil {
		s["enum"] = v.Enum
	}
	if v.Minimum != nil {
		s["minimum"] = *v.Minimum
	}
	if v.Maximum != nil {
		s["maximum"] = *v.Maximum
	}
	if v.Pattern != "" {
		s["pattern"] = v.Pattern
	}
	if v.Of != nil {
		properties := map[string]any{}
		for _, of := range v.Of {
			properties[of.Path[len(of.Path)-1]] = of.schema()
		}
		s["properties"], s["additionalProperties"] = properties, false
	}
	return s
}

// Table is a table of all values in Markdown.
func Table(root *Value) (string, error) {
	var b strings.Builder
	b.WriteString("| Value | Default | |\n|---|---|---|\n")
	err := root.rows(&b)
	return b.String(), err
}

func (v *Value) rows(b *strings.Builder) error {
	for _, of := range v.Of {
		def := ""
		if of.Of == nil {
			d, err := inline(of.Default)
			if err != nil {
				return fmt.Errorf("%s: %w", of.Name(), err)
			}
			def = "`" + d + "`"
		}
		text := of.Text
		if of.Enum != nil {
			text += " One of " + strings.Join(of.Enum, ", ") + "."
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", of.Name(), strings.ReplaceAll(def, "|", "\\|"), strings.ReplaceAll(text, "|", "\\|"))
		if err := of.rows(b); err != nil {
			return err
		}
	}
	return nil
}

// inline is a value in one line.
func inline(n *yaml.Node) (string, error) {
	var v any
	if err := n.Decode(&v); err != nil {
		return "", err
	}
	b, err := json.Marshal(v)
	return string(b), err
}
