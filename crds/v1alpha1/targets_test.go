package v1alpha1

import (
	"reflect"
	"testing"
)

func TestTargetsReadBack(t *testing.T) {
	for _, want := range []Targets{
		{Gateway: "web"},
		{Gateway: "web", Ports: []TargetPort{{80, "TCP", 20080}, {53, "UDP", 20053}}},
	} {
		if got, ok := ParseTargets(want.String()); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%q reads back as %+v, %v", want, got, ok)
		}
	}
	for _, bad := range []string{"", "Gateway", "web: 80/TCP=20080", "Gateway web: 80/TCP", "Gateway web: 80/TCP=99999", "Gateway web: 080/TCP=20080", "Gateway web:  80/TCP=1"} {
		if got, ok := ParseTargets(bad); ok {
			t.Errorf("%q reads as %+v, want nothing", bad, got)
		}
	}
}
