package agent

import (
	"slices"
	"testing"

	"sluice.io/sluice/envoy"
	"sluice.io/sluice/model"
	"sluice.io/sluice/observe/explain"
	"sluice.io/sluice/xds"
)

func TestDoubts(t *testing.T) {
	cart := model.Origin{Object: model.ObjectRef{Kind: "HTTPRoute", Namespace: "shop", Name: "cart"}, Rule: 1, File: "mesh/a.yaml", Line: 9}
	other := model.Origin{Object: model.ObjectRef{Kind: "HTTPRoute", Namespace: "shop", Name: "other"}, Rule: -1}
	inEnvoy := &explain.Answer{Handler: explain.HandlerEnvoy, Rule: &explain.Rule{Origin: cart}}
	inKernel := &explain.Answer{Handler: explain.HandlerKernel, Rule: &explain.Rule{Origin: cart}}
	up := func(kernel string, rejected ...xds.Rejection) *Status {
		return &Status{KernelError: kernel, Envoy: envoy.Status{Live: true}, XDS: xds.Status{Connected: true, Rejected: rejected}}
	}
	const (
		unprogrammed = "the kernel could not be programmed, and may still do what it did before: map is full"
		noEnvoy      = "Envoy is not up: the connection fails until it is, and goes no other way"
		rejected     = "Envoy rejected what was made of HTTPRoute shop/cart rule 1 (mesh/a.yaml:9), "
	)
	for _, c := range []struct {
		name   string
		answer *explain.Answer
		status *Status
		want   []string
	}{
		{"all is well", inEnvoy, up(""), nil},
		{"the kernel is not programmed", inKernel, up("map is full"), []string{unprogrammed}},
		{"the kernel is not programmed, for Envoy", inEnvoy, up("map is full"), []string{unprogrammed}},
		{"Envoy is not live", inEnvoy, &Status{XDS: xds.Status{Connected: true}}, []string{noEnvoy}},
		{"Envoy is not connected", inEnvoy, &Status{Envoy: envoy.Status{Live: true}}, []string{noEnvoy}},
		{"no Envoy, and none is needed", inKernel, &Status{}, nil},
		{"rejected", inEnvoy, up("", xds.Rejection{Origin: cart, Message: "no regex"}), []string{rejected + "and has nothing in its place: no regex"}},
		{"rejected, with a last good state", inEnvoy, up("", xds.Rejection{Origin: cart, Message: "no regex", LastGood: true}),
			[]string{rejected + "and goes on with what it took last: no regex"}},
		{"another's rejection", inEnvoy, up("", xds.Rejection{Origin: other, Message: "no regex"}), nil},
		{"a rejection that does not matter", inKernel, up("", xds.Rejection{Origin: cart, Message: "no regex"}), nil},
		{"all at once", inEnvoy, &Status{KernelError: "map is full", XDS: xds.Status{Rejected: []xds.Rejection{{Origin: cart, Message: "no regex"}}}},
			[]string{unprogrammed, noEnvoy, rejected + "and has nothing in its place: no regex"}},
	} {
		if got := doubts(c.answer, c.status); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
