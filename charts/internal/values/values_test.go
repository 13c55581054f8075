package values

import (
	"encoding/json"
	"strings"
	"testing"
)

const sample = `# About the file.

# What is logged.
log:
  # The least level.
  # @enum info|warn
  level: info
# How many,
# of all.
# @min 1
# @max 9
count: 2
# A number or a part.
# @type integer|string
part: 10%
# A name.
# @pattern ^[a-z|]+$
name: a
# Anything.
open: {a: b}
# A list.
list: []
`

func TestSchemaAndTable(t *testing.T) {
	root, err := Parse([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Schema(root)
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(`{
		"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "additionalProperties": false,
		"properties": {
			"global": {"type": "object"},
			"log": {"type": "object", "description": "What is logged.", "additionalProperties": false, "properties": {
				"level": {"type": "string", "description": "The least level.", "enum": ["info", "warn"]}}},
			"count": {"type": "integer", "description": "How many, of all.", "minimum": 1, "maximum": 9},
			"part": {"type": ["integer", "string"], "description": "A number or a part."},
			"name": {"type": "string", "description": "A name.", "pattern": "^[a-z|]+$"},
			"open": {"type": "object", "description": "Anything."},
			"list": {"type": "array", "description": "A list."}
		}}`), &want); err != nil {
		t.Fatal(err)
	}
	g, _ := json.Marshal(got)
	w, _ := json.Marshal(want)
	if string(g) != string(w) {
		t.Errorf("schema\n%s\nwant\n%s", g, w)
	}
	table, err := Table(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{
		"| `log` |  | What is logged. |",
		"| `log.level` | `\"info\"` | The least level. One of info, warn. |",
		"| `open` | `{\"a\":\"b\"}` | Anything. |",
	} {
		if !strings.Contains(table, row+"\n") {
			t.Errorf("no row %s in\n%s", row, table)
		}
	}
}

func TestRefused(t *testing.T) {
	for in, want := range map[string]string{
		"a: 1\n":                        "line 1: a: it has no comment",
		"# Text.\n# @most 3\na: 1\n":    "there is no mark @most",
		"# Text.\n# @pattern (\na: b\n": "missing closing )",
		"# Text.\n# @min few\na: 1\n":   "invalid syntax",
		"[]\n":                          "there are none",
		"a: [\n":                        "read values",
	} {
		if _, err := Parse([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}
