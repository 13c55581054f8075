package resolve_test

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/gateway-api/pkg/features"
	"sigs.k8s.io/yaml"

	"sluice.io/sluice/crds"
	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve"
	"sluice.io/sluice/source"
)

// definitions are the metadata of the Gateway API's CRDs, as Sluice has them.
func definitions(t *testing.T) map[model.ObjectRef]*source.Object {
	t.Helper()
	all := map[model.ObjectRef]*source.Object{}
	names, err := fs.Glob(crds.Files(), "gateway/gateway.networking.k8s.io_*.yaml")
	if err != nil || len(names) < 9 {
		t.Fatalf("only %d CRDs: %v", len(names), err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(crds.Files(), name)
		if err != nil {
			t.Fatal(err)
		}
		crd := &metav1.PartialObjectMetadata{}
		if err := yaml.Unmarshal(text, crd); err != nil {
			t.Fatal(err)
		}
		ref := model.ObjectRef{Kind: "CustomResourceDefinition", Name: crd.Name}
		all[ref] = &source.Object{KubeObject: crd, Origin: model.Origin{Object: ref, Rule: -1}}
	}
	return all
}

// installed tells of one CRD's version and channel; no version that it has gone.
func installed(name, version, channel string) map[model.ObjectRef]*source.Object {
	ref := model.ObjectRef{Kind: "CustomResourceDefinition", Name: name}
	if version == "" {
		return map[model.ObjectRef]*source.Object{ref: nil}
	}
	crd := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{
		"gateway.networking.k8s.io/bundle-version": version, "gateway.networking.k8s.io/channel": channel,
	}}}
	return map[model.ObjectRef]*source.Object{ref: {KubeObject: crd}}
}

// TestWhatIsInstalledIsSupported goes through CRDs of other releases and channels,
// and ones that are not there.
func TestWhatIsInstalledIsSupported(t *testing.T) {
	r := resolve.New()
	var class *model.Status
	update := func(objects map[model.ObjectRef]*source.Object) {
		for ref, st := range r.Update(objects).Statuses {
			if ref.Kind == "GatewayClass" {
				class = st
			}
		}
	}
	update(edge(0))
	full := class.Features
	check := func(step, version string, missing ...string) {
		t.Helper()
		c := class.Conditions[len(class.Conditions)-1]
		if c.Type != "SupportedVersion" || c.Status != (version == "") || !strings.Contains(c.Message, version) || class.Conditions[0].Type != "Accepted" || !class.Conditions[0].Status {
			t.Errorf("%s: %+v", step, class.Conditions)
		}
		var gone []string
		for _, f := range full {
			if !slices.Contains(class.Features, f) {
				gone = append(gone, f)
			}
		}
		if !slices.Equal(gone, missing) {
			t.Errorf("%s: without features %q, want without %q", step, gone, missing)
		}
	}
	all := definitions(t)
	update(all)
	check("all", "")
	update(installed("udproutes.gateway.networking.k8s.io", "", ""))
	check("no UDPRoute", "", "UDPRoute")
	update(installed("tlsroutes.gateway.networking.k8s.io", "v1.6.1", "standard"))
	check("standard channel", "", "TLSRouteModeMixed", "UDPRoute")
	update(installed("tlsroutes.gateway.networking.k8s.io", "v1.5.1", "experimental"))
	check("an older release", "tlsroutes v1.5.1", "TLSRouteModeMixed", "TLSRouteModeTerminate", "UDPRoute")
	update(installed("tlsroutes.gateway.networking.k8s.io", "v1.10.0-rc.1", "experimental"))
	check("a newer release", "tlsroutes v1.10.0-rc.1", "UDPRoute")
	update(installed("tlsroutes.gateway.networking.k8s.io", "main", "experimental"))
	check("no release", "tlsroutes main", "TLSRouteModeMixed", "TLSRouteModeTerminate", "UDPRoute")
	update(installed("widgets.example.com", "v1.0.0", "standard"))
	check("another's kind", "tlsroutes main", "TLSRouteModeMixed", "TLSRouteModeTerminate", "UDPRoute")
	update(all)
	check("all again", "")
}

// TestExperimentalFeatures wants those to be known that the Gateway API has in
// its experimental channel only.
func TestExperimentalFeatures(t *testing.T) {
	r := resolve.New()
	r.Update(edge(0))
	objects := definitions(t)
	for _, o := range objects {
		o.KubeObject.(*metav1.PartialObjectMetadata).Annotations["gateway.networking.k8s.io/channel"] = "standard"
	}
	var want []string
	for _, f := range features.AllFeatures.UnsortedList() {
		if !strings.HasPrefix(string(f.Name), "Mesh") && f.Channel == features.FeatureChannelStandard {
			want = append(want, string(f.Name))
		}
	}
	slices.Sort(want)
	for ref, st := range r.Update(objects).Statuses {
		if ref.Kind == "GatewayClass" && !slices.Equal(st.Features, want) {
			t.Errorf("features of the standard channel:\ngot  %q\nwant %q", st.Features, want)
		}
	}
}
