package release

import (
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/gateway-api/pkg/consts"
	known "sigs.k8s.io/gateway-api/pkg/features"
)

// TestKnownRelease compares what is written down here of the Gateway API with the
// module of it: who takes a newer one must look at all of this.
func TestKnownRelease(t *testing.T) {
	if compareMinor(consts.BundleVersion, supported) != 0 {
		t.Errorf("%s is supported, and the module is %s", supported, consts.BundleVersion)
	}
	var all, ahead []string
	for _, f := range known.AllFeatures.UnsortedList() {
		switch name := string(f.Name); {
		case strings.HasPrefix(name, "Mesh"): // no feature of Gateways
		case f.Channel == known.FeatureChannelExperimental:
			ahead = append(ahead, name)
			fallthrough
		default:
			all = append(all, name)
		}
	}
	slices.Sort(all)
	slices.Sort(ahead)
	if !slices.Equal(features, all) {
		t.Errorf("features:\ngot  %q\nwant %q", features, all)
	}
	if !slices.Equal(experimentalFeatures, ahead) {
		t.Errorf("features of the experimental channel:\ngot  %q\nwant %q", experimentalFeatures, ahead)
	}
	for _, f := range features {
		var kinds []string
		for kind := range featureKinds {
			if strings.HasPrefix(f, kind) {
				kinds = append(kinds, kind)
			}
		}
		if len(kinds) != 1 {
			t.Errorf("%s is a feature of %q, want one kind", f, kinds)
		}
	}
}

// definition is the metadata of a CRD.
func definition(version, channel string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{
		consts.BundleVersionAnnotation: version, consts.ChannelAnnotation: channel,
	}}}
}

// every is a cluster with all kinds of one release and channel.
func every(version, channel string) Installed {
	i := Installed{}
	for _, plural := range featureKinds {
		i.Put(plural+".gateway.networking.k8s.io", definition(version, channel))
	}
	return i
}

// TestPut wants the Gateway API's kinds to be told from others, and those that have
// gone to be forgotten.
func TestPut(t *testing.T) {
	i := Installed{}
	for _, name := range []string{"tcproutes.example.com", "gateways.gateway.networking.x-k8s.io", "gateway.networking.k8s.io", ""} {
		if i.Put(name, definition(consts.BundleVersion, experimental)) || len(i) > 0 {
			t.Errorf("%q is taken for a kind of the Gateway API: %v", name, i)
		}
	}
	const name = "tcproutes.gateway.networking.k8s.io"
	if !i.Put(name, definition("v1.6.1", experimental)) || i["tcproutes"] != (bundle{"v1.6.1", experimental}) {
		t.Errorf("%s is not taken: %v", name, i)
	}
	if !i.Put(name, nil) || len(i) > 0 {
		t.Errorf("%s has gone, and is there: %v", name, i)
	}
}

// TestSupportedVersion says of a cluster whether its kinds are of the known release.
func TestSupportedVersion(t *testing.T) {
	mixed := every("v1.6.0", experimental)
	mixed.Put("udproutes.gateway.networking.k8s.io", definition("v1.6.3", "standard"))
	old := every("v1.6.3", experimental)
	old.Put("udproutes.gateway.networking.k8s.io", definition("v1.5.0", experimental))
	old.Put("tcproutes.gateway.networking.k8s.io", &metav1.PartialObjectMetadata{})
	for name, c := range map[string]struct {
		installed Installed
		status    bool
		message   string
	}{
		"none, in a folder": {Installed{}, true, "Gateway API v1.6 is served"},
		"the known one":     {every("v1.6.3", "standard"), true, "Gateway API v1.6.3 is installed"},
		"two of it":         {mixed, true, "Gateway API v1.6.0, v1.6.3 is installed"},
		"some of others":    {old, false, "installed are tcproutes of no version, udproutes v1.5.0: what is the same in both is served"},
		"a candidate":       {Installed{"gateways": {version: "v1.6.0-rc.1"}}, true, "Gateway API v1.6.0-rc.1 is installed"},
		"a later one":       {Installed{"gateways": {version: "v1.16.0"}}, false, "installed are gateways v1.16.0"},
		"another major":     {Installed{"gateways": {version: "v2.6.0"}}, false, "installed are gateways v2.6.0"},
		"no number":         {Installed{"gateways": {version: "main"}}, false, "installed are gateways main"},
	} {
		got := c.installed.SupportedVersion()
		reason := map[bool]string{true: "SupportedVersion", false: "UnsupportedVersion"}[c.status]
		if got.Type != "SupportedVersion" || got.Status != c.status || got.Reason != reason || !strings.Contains(got.Message, c.message) {
			t.Errorf("%s: %+v, want %t and %q", name, got, c.status, c.message)
		}
	}
}

// TestFeatures wants those, and no others, that can be asked for with what is
// installed.
func TestFeatures(t *testing.T) {
	without := func(drop func(string) bool) []string { return slices.DeleteFunc(slices.Clone(features), drop) }
	none := every(consts.BundleVersion, experimental)
	none.Put("httproutes.gateway.networking.k8s.io", nil)
	mixed := every(consts.BundleVersion, "standard")
	mixed.Put("httproutes.gateway.networking.k8s.io", definition(consts.BundleVersion, experimental))
	for name, c := range map[string]struct {
		installed Installed
		want      []string
	}{
		"a folder":                   {Installed{}, features},
		"all":                        {every(consts.BundleVersion, experimental), features},
		"a later release":            {every("v1.10.0", experimental), features},
		"the standard channel":       {every(consts.BundleVersion, "standard"), without(func(f string) bool { return slices.Contains(experimentalFeatures, f) })},
		"one kind not of it":         {mixed, without(func(f string) bool { return f == "TLSRouteModeMixed" })},
		"a kind that is not there":   {none, without(func(f string) bool { return strings.HasPrefix(f, "HTTPRoute") })},
		"a release before":           {every("v1.5.1", experimental), without(func(f string) bool { return featureKinds[f] == "" })},
		"nobody knows which release": {every("", ""), without(func(f string) bool { return featureKinds[f] == "" })},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.installed.Features(); !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}
