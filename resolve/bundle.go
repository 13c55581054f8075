package resolve

import (
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
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/source"
)

// bundle is the release of the Gateway API that an installed kind is of.
type bundle struct{ version, channel string }

// experimental is the channel that has all fields.
const experimental = "experimental"

// ingestDefinition notes of which release an installed kind of the Gateway API
// is, by the metadata of its CustomResourceDefinition.
func (u *round) ingestDefinition(n string, obj *source.Object) {
	plural, ok := strings.CutSuffix(n, "."+gatewayv1.GroupName)
	if !ok {
		return
	}
	for class := range u.classes {
		u.report.Add(model.ObjectRef{Kind: object.KindGatewayClass, Name: class})
	}
	delete(u.bundles, plural)
	if o, ok := object.As[*metav1.PartialObjectMetadata](obj); ok {
		u.bundles[plural] = bundle{o.Annotations[consts.BundleVersionAnnotation], o.Annotations[consts.ChannelAnnotation]}
	}
}

// supported is the minor version of the Gateway API that is known.
const supported = "v1.6"

// supportedVersion says whether the installed kinds are of a known release. Where
// nothing is known of them, in a folder, they are Sluice's own.
func (r *Resolver) supportedVersion() model.Condition {
	const kind = string(gatewayv1.GatewayClassConditionStatusSupportedVersion)
	var strange []string
	versions := map[string]bool{}
	for _, plural := range slices.Sorted(maps.Keys(r.bundles)) {
		v := r.bundles[plural].version
		versions[v] = true
		if compareMinor(v, supported) != 0 {
			strange = append(strange, fmt.Sprintf("%s %s", plural, or(v, "of no version")))
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

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// supportedFeatures are those that can be asked for with the kinds that are
// installed: with those of an older release no more than the kind itself, and in
// the standard channel nothing that is experimental.
func (r *Resolver) supportedFeatures() []string {
	if len(r.bundles) == 0 {
		return features
	}
	return slices.DeleteFunc(slices.Clone(features), func(f string) bool {
		kind, plural := kindOfFeature(f)
		b, installed := r.bundles[plural]
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
