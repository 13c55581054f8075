package syntax

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	kjson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

// TestValueAgreesWithKubectl compares with the library that kubectl reads YAML by.
func TestValueAgreesWithKubectl(t *testing.T) {
	scalars := []string{
		"", "~", "null", "Null", "NULL", "nul", "true", "True", "TRUE", "tRue", "y", "Y", "yes", "Yes", "n", "no", "off", "On",
		"0", "-0", "+1", "1", "007", "0o17", "017", "0x1F", "0b101", "-0b11", "1_000", "1e3", "1.5", ".5", "-.5", "5.", "1e", "e1", "1__0",
		"9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616", "1:30", "12:30:45",
		"2001-01-01", "2001-01-01T00:00:00Z", "1.2.3", "10.0.0.1", "80/TCP", "a b", "a: b", "- a", "'quoted ''too'''", `"esc\t\u00e9\x41"`,
		`"80"`, "'true'", "!!str 80", "!!int 80", "!!float 80", "!!bool yes", "|\n  lines\n  more\n", ">-\n  folded\n  text\n", "[a, 1, [true]]",
		"{a: 1, b: {c: null}}", "[]", "{}", "é", "😀", "<<", "=", "-", "--", "+", ".", "..", "_1", "1_", "_", "0x", "0x_1", "-x",
	}
	docs := []string{
		"a: &x {b: 1}\nc: *x\n", "a: &x {b: 1, d: 2}\nc: {<<: *x, b: 3}\n", "a: &x {b: 1}\ny: &y {b: 2, e: 4}\nc: {<<: [*x, *y]}\n",
		"1: a\ntrue: b\n1.5: c\n~x: d\n", "on: a\n", "a:\n- b\n- c: d\n  e: f\n", "a: # comment\n  b\n", "\"a\": 'b'\n", "? a\n: b\n",
	}
	for _, s := range scalars {
		docs = append(docs, "v: "+s)
	}
	for _, text := range docs {
		want, wantErr := kubectl(text)
		root, perr := Parse([]byte(text), YAML)
		var got any
		var errs []*Error
		if perr == nil {
			got, errs = Value(root)
		}
		if failed := perr != nil || len(errs) > 0; failed != (wantErr != nil) {
			t.Errorf("%q: got %v, errors %v %v; kubectl has %v, %v", text, got, perr, errs, want, wantErr)
		} else if !failed && !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %#v, kubectl has %#v", text, got, want)
		}
	}
}

func kubectl(text string) (any, error) {
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return nil, err
	}
	v := map[string]any{}
	err = kjson.Unmarshal(data, &v)
	return v, err
}

func TestValueOfJSON(t *testing.T) {
	text := `{"a": [1, -2.5, 1e3, true, null, "x\u00e9\ud83d\ude00"], "b": {"a": {}}, "c": 12345678901234567890}`
	var want map[string]any
	if err := kjson.Unmarshal([]byte(text), &want); err != nil {
		t.Fatal(err)
	}
	root, perr := Parse([]byte(text), JSON)
	if perr != nil {
		t.Fatal(perr)
	}
	got, errs := Value(root)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(want)
	if string(a) != string(b) {
		t.Errorf("got  %s\nwant %s", a, b)
	}
}

func TestBounds(t *testing.T) {
	laughs := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 9; i++ {
		prev := string(rune('0' + i - 1))
		laughs += "a" + string(rune('0'+i)) + ": &a" + string(rune('0'+i)) + " [" + strings.Repeat("*a"+prev+", ", 9) + "]\n"
	}
	for name, test := range map[string]struct {
		text   string
		format Format
		want   string
	}{
		"laughs":     {laughs, YAML, "aliases stand for more than 100000 values"},
		"deep":       {strings.Repeat("[", 500) + strings.Repeat("]", 500), YAML, "nested more than 100 levels deep"},
		"very deep":  {strings.Repeat("[", 100000), YAML, "exceeded max depth"},
		"deep JSON":  {strings.Repeat("[", 500) + strings.Repeat("]", 500), JSON, "nested more than 100 levels deep"},
		"itself":     {"a: &a {b: *a}", YAML, "an anchor holds itself"},
		"huge":       {"a: " + strings.Repeat("x", MaxDocument), YAML, "more than the 16777216 that are read"},
		"merge bomb": {"<<: " + strings.Repeat("[{<<: ", 45) + "x" + strings.Repeat("}]", 45), YAML, "<< takes a mapping"},
		"not text":   {"a: !!binary \"/w==\"", YAML, "it is no text in UTF-8"},
	} {
		root, err := Parse([]byte(test.text), test.format)
		got := ""
		if err != nil {
			got = err.Message
		} else if _, errs := Value(root); len(errs) > 0 {
			got = errs[0].Message
		}
		if !strings.Contains(got, test.want) {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}
