package syntax

import (
	"reflect"
	"testing"
)

func TestSplit(t *testing.T) {
	tests := []struct {
		name   string
		text   string
		format Format
		want   []Document
	}{
		{"nothing", "\n# only a comment\n", YAML, nil},
		{"one", "a: 1\n", YAML, []Document{{1, []byte("a: 1\n")}}},
		{"two", "a: 1\n---\nb: 2", YAML, []Document{{1, []byte("a: 1\n")}, {2, []byte("---\nb: 2")}}},
		{"empty ones", "---\n---\n\n---\na\n---\n", YAML, []Document{{4, []byte("---\na\n")}}},
		{"on the marker's line", "--- a\n--- # b\n", YAML, []Document{{1, []byte("--- a\n")}}},
		{"comment before", "# c\n---\na\n", YAML, []Document{{1, []byte("# c\n---\na\n")}}},
		{"directives", "%YAML 1.1\n---\na\n...\n%TAG ! x\n---\nb\n", YAML,
			[]Document{{1, []byte("%YAML 1.1\n---\na\n...\n")}, {5, []byte("%TAG ! x\n---\nb\n")}}},
		{"no marker", "a: ---\nb: |\n  ---\n----\n", YAML, []Document{{1, []byte("a: ---\nb: |\n  ---\n----\n")}}},
		{"returns", "a\r\n---\r\nb\r\n", YAML, []Document{{1, []byte("a\r\n")}, {2, []byte("---\r\nb\r\n")}}},
		{"JSON", "{\"a\":\n\"}\"} [1]\n{", JSON, []Document{{1, []byte("{\"a\":\n\"}\"}")}, {2, []byte(" [1]")}, {2, []byte("\n{")}}},
	}
	for _, test := range tests {
		if got := Split([]byte(test.text), test.format); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", test.name, got, test.want)
		}
	}
}

func TestLine(t *testing.T) {
	root, err := Parse([]byte(`
kind: x
metadata:
  labels:
    app.kubernetes.io/name: x
spec:
  rules:
  - a: 1
  - b:
    - c: &anchor
        d: 1
    e: *anchor
`), YAML)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{
		"": 2, "kind": 2, "metadata": 3, "metadata.name": 3, "metadata.labels[app.kubernetes.io/name]": 5, "spec.rules": 7,
		"spec.rules[0].a": 8, "spec.rules[1]": 9, "spec.rules[1].b[0].c.d": 11, "spec.rules[1].e.d": 11, "spec.rules[2].x": 7, "nothing.there": 2,
	} {
		if got := Line(root, path); got != want {
			t.Errorf("%s is on line %d, want %d", path, got, want)
		}
	}
}

func TestGuess(t *testing.T) {
	for text, want := range map[string]Guessed{
		"kind: A\nmetadata:\n  name: b\n  namespace: c\nx: {\n":                              {Kind: "A", Namespace: "c", Name: "b", Line: 1},
		"# c\n---\nmetadata:\n    labels:\n      name: no\n    name: 'b'\nkind: \"A\" # k\n": {Kind: "A", Name: "b", Line: 3},
		"kind: A\nmetadata: {name: b, namespace: \"c\"}\nx: {\n":                             {Kind: "A", Namespace: "c", Name: "b", Line: 1},
		"kind: A\nmetadata: {name: b\n":                                                      {Kind: "A", Line: 1},
		"kind: A\nmetadata:\n  name: half":                                                   {Kind: "A", Line: 1},
		"kind: A\nmetadata:\n  name: {b\n":                                                   {Kind: "A", Line: 1},
		"spec:\n  name: b\n  kind: A\n":                                                      {Line: 1},
	} {
		if got := Guess([]byte(text)); got != want {
			t.Errorf("%q: got %+v, want %+v", text, got, want)
		}
	}
}
