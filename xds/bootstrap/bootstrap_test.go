package bootstrap

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"
)

// TestRegexSize: what resolve lets pass, Envoy takes. The two must not import each
// other, so the one's source is read.
func TestRegexSize(t *testing.T) {
	if theirs := constant(t, "../../resolve/rules/regex.go", "maxRegexSize"); theirs != maxRegexSize {
		t.Errorf("resolve lets regular expressions of %d instructions pass, Envoy is told to take %d", theirs, maxRegexSize)
	}
	b, err := JSON(Config{NodeID: "n", AdminSocket: "/a", XDSSocket: "/x"})
	if err != nil {
		t.Fatal(err)
	}
	var told struct {
		Runtime struct {
			Layers []struct {
				Static map[string]float64 `json:"static_layer"`
			} `json:"layers"`
		} `json:"layered_runtime"`
	}
	if err := json.Unmarshal(b, &told); err != nil {
		t.Fatal(err)
	}
	if got := told.Runtime.Layers[0].Static["re2.max_program_size.error_level"]; got != maxRegexSize {
		t.Errorf("the file tells Envoy to take %v instructions, want %d", got, maxRegexSize)
	}
}

// constant reads an integer constant of a Go file.
func constant(t *testing.T, file, name string) int {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	value := ""
	ast.Inspect(f, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && spec.Names[0].Name == name && len(spec.Values) == 1 {
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok {
				value = lit.Value
			}
		}
		return true
	})
	n, err := strconv.Atoi(value)
	if err != nil {
		t.Fatalf("no constant %s in %s: %v", name, file, err)
	}
	return n
}

// TestPatience: an Envoy without its first listeners and clusters is not one that
// has none. By default it thinks so after 15 seconds, and ends its parent.
func TestPatience(t *testing.T) {
	b, err := JSON(Config{NodeID: "n", AdminSocket: "/a", XDSSocket: "/x"})
	if err != nil {
		t.Fatal(err)
	}
	type source struct {
		Timeout string `json:"initial_fetch_timeout"`
	}
	var told struct {
		Dynamic struct {
			LDS source `json:"lds_config"`
			CDS source `json:"cds_config"`
		} `json:"dynamic_resources"`
	}
	if err := json.Unmarshal(b, &told); err != nil {
		t.Fatal(err)
	}
	if d := told.Dynamic; d.LDS.Timeout != "0s" || d.CDS.Timeout != "0s" {
		t.Errorf("listeners are waited for %q, clusters %q, want 0s, which is for ever", d.LDS.Timeout, d.CDS.Timeout)
	}
}
