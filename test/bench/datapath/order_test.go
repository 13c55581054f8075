package datapath

import (
	"slices"
	"strings"
	"testing"
)

func TestOrder(t *testing.T) {
	first := map[int]bool{}
	for round := range 12 {
		got := order(len(Subjects), round)
		first[got[0]] = true
		slices.Sort(got)
		for i, at := range got {
			if at != i {
				t.Fatalf("round %d doesn't measure each subject once: %v", round, got)
			}
		}
	}
	if len(first) < 6 {
		t.Errorf("only %d of %d subjects ever came first", len(first), len(Subjects))
	}
}

func TestSelect(t *testing.T) {
	if got := len(Select(nil)); got != len(Subjects) {
		t.Errorf("nothing named selects %d subjects, want all %d", got, len(Subjects))
	}
	for _, s := range Select([]string{"iptables", "direct"}) {
		if s.Name != "direct" && !strings.HasPrefix(s.Name, "iptables") {
			t.Errorf("selected %s", s.Name)
		}
	}
	if got := Select([]string{"control"}); len(got) != 0 {
		t.Errorf("selected %v, want none", got)
	}
}
