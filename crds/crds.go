// Package crds holds the CustomResourceDefinitions of every kind that Sluice
// reads and that Kubernetes has not built in: its own (generated from
// v1alpha1), and the Gateway API's experimental channel, copied from the module
// that go.mod pins.
//
// It owns the files, and finding the right one fast: nothing is parsed before
// it is asked for. It must not know how objects are validated.
package crds

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

//go:generate go run ./internal/gatewaycopy gateway

// files are named as controller-gen names them: <group>_<plural>.yaml.
//
//go:embed *.yaml gateway/*.yaml
var files embed.FS

// Files returns all CRDs as they are installed in a cluster: Sluice's own at
// the top, the Gateway API's below gateway/.
func Files() fs.FS { return files }

// Load parses the CRD of one resource, such as ("gateway.networking.k8s.io",
// "httproutes"). It takes some 10 ms per 100 kB of YAML, so callers keep the result.
func Load(group, plural string) (*apiextensionsv1.CustomResourceDefinition, error) {
	name := group + "_" + plural + ".yaml"
	if group != "sluice.io" {
		name = "gateway/" + name
	}
	data, err := files.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("find CRD of %s.%s: %w", plural, group, err)
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.Unmarshal(data, crd); err != nil {
		return nil, fmt.Errorf("parse CRD %s: %w", strings.TrimPrefix(name, "gateway/"), err)
	}
	return crd, nil
}
