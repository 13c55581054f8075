package main

import (
	"slices"
	"testing"

	"sluice.io/sluice/test/bench/gateways"
)

func TestCases(t *testing.T) {
	got, err := cases("100,1000/10")
	want := []gateways.Case{{Gateways: 1, Routes: 100}, {Gateways: 10, Routes: 1000}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	for _, wrong := range []string{"", "x", "0", "10/0", "10/20", "1/2/3"} {
		if got, err := cases(wrong); err == nil {
			t.Errorf("%q is %v, want an error", wrong, got)
		}
	}
}
