package crds

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// TestGatewayFiles compares the copies with the module that go.mod pins.
func TestGatewayFiles(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		t.Fatalf("find the Gateway API module: %v", err)
	}
	names, err := fs.Glob(Files(), "gateway/*.yaml")
	if err != nil || len(names) < 10 {
		t.Fatalf("only %d files: %v", len(names), err)
	}
	for _, name := range names {
		got, err := fs.ReadFile(Files(), name)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "config/crd/experimental", filepath.Base(name)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not the pinned module's: run make generate (%v)", name, err)
		}
	}
}

func TestLoad(t *testing.T) {
	crd, err := Load("gateway.networking.k8s.io", "httproutes")
	if err != nil || crd.Spec.Names.Kind != "HTTPRoute" {
		t.Errorf("got %v, %v", crd.Spec.Names.Kind, err)
	}
	if _, err := Load("gateway.networking.k8s.io", "nothings"); err == nil {
		t.Error("there is no such resource")
	}
}

// TestDocumented checks that each field of our own kinds is described.
func TestDocumented(t *testing.T) {
	for _, plural := range []string{"workloads", "addresspools", "gatewayparameters", "nodereports"} {
		t.Run(plural, func(t *testing.T) { testDocumented(t, plural) })
	}
}

func testDocumented(t *testing.T, plural string) {
	crd, err := Load("sluice.io", plural)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	var walk func(path string, s apiextensionsv1.JSONSchemaProps)
	walk = func(path string, s apiextensionsv1.JSONSchemaProps) {
		if seen++; s.Description == "" && path != ".metadata" {
			t.Errorf("%s has no description", path)
		}
		for name, p := range s.Properties {
			walk(path+"."+name, p)
		}
		if s.Items != nil && s.Items.Schema != nil {
			walk(path+"[]", *s.Items.Schema)
		}
	}
	walk("", *crd.Spec.Versions[0].Schema.OpenAPIV3Schema)
	if seen < 10 {
		t.Errorf("only %d fields", seen)
	}
}

// BenchmarkLoad is the cost of the largest CRD, paid when the first object of
// its kind is met.
func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, err := Load("gateway.networking.k8s.io", "httproutes"); err != nil {
			b.Fatal(err)
		}
	}
}
