package main

import (
	"strings"
	"testing"
)

// A cluster that is taken down afterwards is never one that a user works with,
// unless the user names it; and then cluster.Create refuses one that is up.
func TestConformanceCluster(t *testing.T) {
	for _, c := range []struct {
		name, args, want string
	}{
		{"", "", userName},
		{"", "-kind all", userName},
		{"", "-up -kind all", ownName},
		{"mine", "-up", "mine"},
		{"mine", "-times 2", "mine"},
	} {
		r, err := parseConformance(c.name, strings.Fields(c.args))
		if err != nil {
			t.Fatal(err)
		}
		if r.name != c.want {
			t.Errorf("-name %q conformance %s: cluster %s, want %s", c.name, c.args, r.name, c.want)
		}
	}
	if ownName == userName {
		t.Error("the cluster of conformance -up is that of `make cluster`")
	}
	for _, args := range []string{"-up -installed", "-run A/B", "-no-such-flag"} {
		if _, err := parseConformance("", strings.Fields(args)); err == nil {
			t.Errorf("conformance %s was taken", args)
		}
	}
}
