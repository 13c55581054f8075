package scheme

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"sluice.io/sluice/source/syntax"
)

// TestRulesAgreeWithUpstream checks values and evaluates the rules of every CRD on
// the Gateway API's own examples, valid and invalid, and on thousands of mutations
// of them, and compares with what the API server's validators find.
func TestRulesAgreeWithUpstream(t *testing.T) {
	schemas, upstream := newSchemas(), map[string]*cel.Validator{}
	cases, failing, proven := 0, 0, 0
	for _, u := range corpus(t) {
		k, key := kinds[u["kind"].(string)], ""
		if k != nil {
			_, version := groupOf(u["apiVersion"].(string))
			key = k.name + "/" + version
		}
		compiled := schemas[key]
		if compiled == nil {
			continue
		}
		s, err := compiled()
		if err != nil {
			t.Fatal(err)
		}
		if upstream[key] == nil {
			upstream[key] = cel.NewValidator(s.structural, true, celconfig.PerCallLimit)
		}
		for _, m := range mutations(u) {
			pruning.PruneWithOptions(m, s.structural, true, schema.UnknownFieldPathOptions{})
			defaulting.Default(m, s.structural)
			proof := s.shape.proves(m)
			if errs := validation.ValidateCustomResource(nil, m, s.values); len(errs) > 0 {
				if proof {
					t.Fatalf("%s\nwas proven, but has %v", m, errs)
				}
				continue // the rules rely on valid values
			}
			if proof {
				proven++
			}
			cases++
			want := upstreamFaults(upstream[key], s.structural, m)
			if got := texts(s.rules.check(m, "")); !slices.Equal(got, want) {
				t.Fatalf("%s\ngot  %q\nwant %q", m, got, want)
			}
			failing += min(len(want), 1)
		}
	}
	t.Logf("%d objects with valid values, %d proven to be so, %d against some rule", cases, proven, failing)
	if cases < 2000 || failing < 200 {
		t.Errorf("only %d objects, %d against some rule: the corpus is not what it was", cases, failing)
	}
	if proven < cases*9/10 {
		t.Errorf("only %d of %d were proven: loading is slow", proven, cases)
	}
}

func upstreamFaults(v *cel.Validator, s *schema.Structural, u unstructured) []string {
	errs, _ := v.Validate(context.Background(), nil, s, u, nil, celconfig.RuntimeCELCostBudget)
	var all []string
	for _, e := range errs {
		all = append(all, e.Field+": "+e.Detail)
	}
	slices.Sort(all)
	return all
}

func texts(faults []fault) []string {
	var all []string
	for _, f := range faults {
		all = append(all, f.path+": "+f.message)
	}
	slices.Sort(all)
	return all
}

// mutations are copies of an object, each with one value left out or changed,
// after the object itself.
func mutations(u unstructured) []unstructured {
	all := []unstructured{runtime.DeepCopyJSON(u)}
	each(u, func(container any, key any, old any) {
		mutants := []any{nil}
		switch old := old.(type) {
		case string:
			mutants = append(mutants, "x", "/a//b", "Exact", old+"x")
		case int64:
			mutants = append(mutants, int64(0), old+1)
		case []any:
			if len(old) > 0 {
				mutants = append(mutants, []any{}, append(slices.Clone(old), old[0]))
			}
		}
		for _, v := range mutants {
			set(container, key, v)
			all = append(all, runtime.DeepCopyJSON(u))
		}
		set(container, key, old)
	})
	return all
}

func set(container, key, v any) {
	switch c := container.(type) {
	case map[string]any:
		if c[key.(string)] = v; v == nil {
			delete(c, key.(string))
		}
	case []any:
		c[key.(int)] = v
	}
}

// each calls f for each value below spec.
func each(u any, f func(container, key, v any)) {
	switch u := u.(type) {
	case map[string]any:
		for _, name := range sortedKeys(u) {
			if name == "metadata" || name == "status" || name == "kind" || name == "apiVersion" {
				continue
			}
			v := u[name]
			f(u, name, v)
			each(v, f)
		}
	case []any:
		for _, v := range u {
			each(v, f)
		}
	}
}

// corpus are the objects of the Gateway API module's examples.
func corpus(t *testing.T) []unstructured {
	t.Helper()
	var all []unstructured
	for _, file := range exampleFiles(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, doc := range syntax.Split(text, syntax.YAML) {
			root, perr := syntax.Parse(doc.Text, syntax.YAML)
			if perr != nil || root == nil {
				t.Fatalf("%s: %v", file, perr)
			}
			v, _ := syntax.Value(root)
			if u, ok := v.(unstructured); ok && u["kind"] != nil {
				all = append(all, u)
			}
		}
	}
	return all
}

// exampleFiles are the YAML examples of the Gateway API module, the invalid ones
// having "invalid" in their path.
func exampleFiles(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		t.Fatalf("find the Gateway API module: %v", err)
	}
	var files []string
	for _, dir := range []string{"examples", "hack/invalid-examples"} {
		root := filepath.Join(strings.TrimSpace(string(out)), dir)
		err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err == nil && filepath.Ext(path) == ".yaml" {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}
