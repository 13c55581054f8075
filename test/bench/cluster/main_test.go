package main

import (
	"slices"
	"testing"

	"sluice.io/sluice/test/bench/gateways"
)

func TestPlans(t *testing.T) {
	got, err := plans("100x3,1000/10,5000/50x2")
	want := []gateways.Plan{
		{Case: gateways.Case{Gateways: 1, Routes: 100}, Passes: 3},
		{Case: gateways.Case{Gateways: 10, Routes: 1000}, Passes: 1},
		{Case: gateways.Case{Gateways: 50, Routes: 5000}, Passes: 2},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	for _, wrong := range []string{"", "x", "0", "10/0", "10/20", "1/2/3", "10x0", "10x", "10x2/3"} {
		if got, err := plans(wrong); err == nil {
			t.Errorf("%q is %v, want an error", wrong, got)
		}
	}
}
