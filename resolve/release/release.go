// Package release knows the releases of the Gateway API: which one is installed in a
// cluster, and which features can be asked for with it.
//
// It must not know who asks.
package release

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/pkg/consts"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
)

// Installed are the installed kinds of the Gateway API, by resource. Where there are
// none, in a folder, they are Sluice's own.
type Installed map[string]bundle

// bundle is the release that an installed kind is of.
type bundle struct{ version, channel string }

// experimental is the channel that has all fields.
const experimental = "experimental"

// Put takes the metadata of a CustomResourceDefinition, nil when it is gone, and
// reports whether it is one of the Gateway API.
func (i Installed) Put(name string, o *metav1.PartialObjectMetadata) bool {
	plural, ok := strings.CutSuffix(name, "."+gatewayv1.GroupName)
	switch {
	case !ok:
		return false
	case o == nil:
		delete(i, plural)
	default:
		i[plural] = bundle{o.Annotations[consts.BundleVersionAnnotation], o.Annotations[consts.ChannelAnnotation]}
	}
	return true
}

// supported is the minor version of the Gateway API that is known.
const supported = "v1.6"

// SupportedVersion says whether the installed kinds are of a known release.
func (i Installed) SupportedVersion() model.Condition {
	const kind = string(gatewayv1.GatewayClassConditionStatusSupportedVersion)
	var strange []string
	versions := map[string]bool{}
	for _, plural := range slices.Sorted(maps.Keys(i)) {
		v := i[plural].version
		versions[v] = true
		if compareMinor(v, supported) != 0 {
			strange = append(strange, fmt.Sprintf("%s %s", plural, cmp.Or(v, "of no version")))
		}
	}
	switch {
	case len(strange) > 0:
		return finding.New(string(gatewayv1.GatewayClassReasonUnsupportedVersion),
			"the Gateway API %s is known, and installed are %s: what is the same in both is served", supported, strings.Join(strange, ", ")).Condition(kind, false)
	case len(versions) == 0:
		return finding.New(string(gatewayv1.GatewayClassReasonSupportedVersion), "Gateway API %s is served", supported).Condition(kind, true)
	}
	return finding.New(string(gatewayv1.GatewayClassReasonSupportedVersion),
		"Gateway API %s is installed", strings.Join(slices.Sorted(maps.Keys(versions)), ", ")).Condition(kind, true)
}

// compareMinor compares the first two numbers of versions; what is none sorts first.
func compareMinor(a, b string) int {
	return slices.Compare(minor(a), minor(b))
}

func minor(version string) []int {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) < 2 {
		return nil
	}
	major, err1 := strconv.Atoi(parts[0])
	m, err2 := strconv.Atoi(parts[1])
	if err1 != nil || err2 != nil {
		return nil
	}
	return []int{major, m}
}

// Features are those that can be asked for with the kinds that are
// installed: with those of an older release no more than the kind itself, and in
// the standard channel nothing that is experimental.
func (i Installed) Features() []string {
	if len(i) == 0 {
		return features
	}
	return slices.DeleteFunc(slices.Clone(features), func(f string) bool {
		kind, plural := kindOfFeature(f)
		b, installed := i[plural]
		return !installed || f != kind && compareMinor(b.version, supported) < 0 || b.channel != experimental && slices.Contains(experimentalFeatures, f)
	})
}

// kindOfFeature is the kind whose fields ask for a feature.
func kindOfFeature(feature string) (kind, plural string) {
	for kind, plural := range featureKinds {
		if strings.HasPrefix(feature, kind) {
			return kind, plural
		}
	}
	return "", ""
}
