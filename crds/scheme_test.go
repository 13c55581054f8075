package crds

import (
	"io/fs"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	"sluice.io/sluice/crds/v1alpha1"
)

// TestScheme wants programs that import our types to get all kinds that there are CRDs
// of: clients of others need them in their scheme.
func TestScheme(t *testing.T) {
	s := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(Files(), "sluice.io_*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatalf("there are no CRDs: %v", err)
	}
	for _, name := range names {
		crd, err := Load("sluice.io", strings.TrimSuffix(strings.TrimPrefix(name, "sluice.io_"), ".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{crd.Spec.Names.Kind, crd.Spec.Names.ListKind} {
			if !s.Recognizes(v1alpha1.GroupVersion.WithKind(kind)) {
				t.Errorf("the scheme does not know %s", kind)
			}
		}
	}
}
