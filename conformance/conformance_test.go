package conformance

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	upstream "sigs.k8s.io/gateway-api/conformance"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
	"sigs.k8s.io/yaml"
)

// Flags of ours; all of the suite's own can be given as well.
var (
	kind   = flag.String("kind", "gateway", "which profiles: gateway, mesh, or all")
	report = flag.String("report", "", "file to write the report to, when all tests have run")
)

var profiles = map[string][]suite.ConformanceProfileName{
	"gateway": {
		suite.GatewayHTTPConformanceProfileName, suite.GatewayGRPCConformanceProfileName,
		suite.GatewayTLSConformanceProfileName, suite.GatewayTCPConformanceProfileName,
		suite.GatewayUDPConformanceProfileName,
	},
	"mesh": {suite.MeshHTTPConformanceProfileName, suite.MeshGRPCConformanceProfileName},
}

// TestConformance runs every test of the chosen kind, with every feature that the
// suite's version knows and its own timeouts. A skipped test is a failed one.
func TestConformance(t *testing.T) {
	chosen, supported, err := choose(*kind)
	if err != nil {
		t.Fatal(err)
	}
	opts := upstream.DefaultOptions(t)
	opts.ConformanceProfiles = chosen
	opts.SupportedFeatures = sets.List(supported)
	opts.Implementation.Organization = "sluice"
	opts.Implementation.Project = "sluice"
	opts.Implementation.URL = "https://sluice.io"
	opts.Implementation.Contact = []string{"https://sluice.io/contributing"}
	if opts.Implementation.Version == "" {
		opts.Implementation.Version = "unknown"
	}
	opts.Hook = func(t *testing.T, test suite.ConformanceTest, _ *suite.ConformanceTestSuite) {
		if t.Skipped() {
			t.Errorf("%s was skipped", test.ShortName)
		}
	}
	s, err := suite.NewConformanceTestSuite(opts)
	if err != nil {
		t.Fatal(err)
	}
	if *report != "" {
		t.Cleanup(func() { // When Run's own cleanup has declared the end of the run.
			if err := write(s, *report); err != nil {
				t.Error(err)
			}
		})
	}
	all := of(*kind, tests.ConformanceTests)
	s.Setup(t, all)
	if slices.Contains(opts.SupportedFeatures, features.SupportGateway) {
		t.Run("SupportedFeaturesOfTheClass", func(t *testing.T) { promises(t, opts) })
	}
	if err := s.Run(t, all); err != nil {
		t.Fatal(err)
	}
}

// choose returns the profiles of a kind, and all features that they are about.
func choose(kind string) ([]suite.ConformanceProfileName, sets.Set[features.FeatureName], error) {
	all := features.SetsToNamesSet(features.AllFeatures)
	mesh := features.SetsToNamesSet(features.MeshCoreFeatures, features.MeshExtendedFeatures)
	switch kind {
	case "gateway":
		return profiles[kind], all.Difference(mesh), nil
	case "mesh": // With what routes can do, which some of its tests rest on.
		gateway := features.SetsToNamesSet(features.GatewayCoreFeatures, features.GatewayExtendedFeatures)
		return profiles[kind], all.Difference(gateway), nil
	case "all":
		return slices.Concat(profiles["gateway"], profiles["mesh"]), all, nil
	}
	return nil, nil, fmt.Errorf("-kind %q: want gateway, mesh or all", kind)
}

// of returns the tests of a kind: those of the mesh say so, all others are for
// gateways.
func of(kind string, all []suite.ConformanceTest) []suite.ConformanceTest {
	return slices.DeleteFunc(slices.Clone(all), func(test suite.ConformanceTest) bool {
		mesh := slices.Contains(test.Features, features.SupportMesh)
		return kind == "gateway" && mesh || kind == "mesh" && !mesh
	})
}

// promises holds the GatewayClass to promising what is tested, and no more. The
// mesh's features have no place there.
func promises(t *testing.T, opts suite.ConformanceOptions) {
	var class gatewayv1.GatewayClass
	if err := opts.Client.Get(t.Context(), types.NamespacedName{Name: opts.GatewayClassName}, &class); err != nil {
		t.Fatal(err)
	}
	promised := sets.New[features.FeatureName]()
	for _, f := range class.Status.SupportedFeatures {
		promised.Insert(features.FeatureName(f.Name))
	}
	_, tested, err := choose("gateway")
	if err != nil {
		t.Fatal(err)
	}
	if more, less := promised.Difference(tested), tested.Difference(promised); len(more)+len(less) > 0 {
		t.Errorf("the class promises %v, which is not tested, and not %v, which is", sets.List(more), sets.List(less))
	}
}

func write(s *suite.ConformanceTestSuite, file string) error {
	r, err := s.Report()
	if err != nil {
		return fmt.Errorf("make the report: %w", err)
	}
	b, err := yaml.Marshal(r)
	if err != nil {
		return fmt.Errorf("make the report: %w", err)
	}
	return os.WriteFile(file, b, 0o644)
}

// TestEveryTestIsAsked holds the suite's version to what we believe of it: each of
// its tests is of exactly one kind, and none needs a feature that we leave out.
func TestEveryTestIsAsked(t *testing.T) {
	gateway, mesh := of("gateway", tests.ConformanceTests), of("mesh", tests.ConformanceTests)
	if len(gateway)+len(mesh) != len(tests.ConformanceTests) || len(gateway) == 0 || len(mesh) == 0 {
		t.Errorf("%d tests of gateways and %d of the mesh are not the suite's %d", len(gateway), len(mesh), len(tests.ConformanceTests))
	}
	for kind, list := range map[string][]suite.ConformanceTest{"gateway": gateway, "mesh": mesh, "all": tests.ConformanceTests} {
		chosen, supported, err := choose(kind)
		if err != nil || len(chosen) == 0 {
			t.Fatalf("%s: profiles %v, %v", kind, chosen, err)
		}
		for _, test := range list {
			if !supported.HasAll(test.Features...) {
				t.Errorf("%s: %s would be skipped: it needs %v", kind, test.ShortName, test.Features)
			}
		}
	}
	if _, _, err := choose("none"); err == nil {
		t.Error("a kind that there is not was chosen")
	}
}
