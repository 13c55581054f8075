package claim

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sluice.io/sluice/resolve/object"
)

// claimant is an object of a certain age, in seconds since some time.
func claimant(name string, born int64) object.Seniority {
	return object.SeniorityOf(&metav1.ObjectMeta{Namespace: "lab", Name: name, CreationTimestamp: metav1.Unix(born, 0)})
}

func TestTheSeniorHasIt(t *testing.T) {
	b := NewBook[int]()
	holds := func(step string, want ...string) {
		t.Helper()
		for k, name := range want {
			if got := b.Holder(k).Name; got != name {
				t.Errorf("%s: %q has %d, want %q", step, got, k, name)
			}
		}
	}
	young, old, twin := claimant("young", 20), claimant("old", 10), claimant("twin", 20)
	b.Claim(young, []int{0, 1})
	holds("alone", "young", "young", "")
	b.Claim(twin, []int{1, 1, 2})
	holds("of one age, the first by name", "young", "twin", "twin")
	b.Claim(old, []int{0})
	holds("the older", "old", "twin", "twin")
	b.Claim(old, nil)
	holds("withdrawn", "young", "twin", "twin")
	b.Claim(claimant("young", 5), []int{1})
	holds("made anew, and older", "", "young", "twin")
	b.Claim(twin, nil)
	holds("what was claimed twice is withdrawn once", "", "young", "")
	if n := len(b.Claimants(1)); n != 1 {
		t.Errorf("%d claim 1, want 1", n)
	}
}

func TestChangedSinceAsked(t *testing.T) {
	b := NewBook[int]()
	a, z := claimant("a", 1), claimant("z", 1)
	b.Claim(z, []int{0, 1})
	if got := b.Changed(); len(got) != 2 || got[0] != (object.Name{}) {
		t.Errorf("at first: %v", got)
	}
	b.Claim(a, []int{1})
	b.Claim(a, nil)
	b.Claim(a, []int{1})
	if got := b.Changed(); len(got) != 1 || got[1] != z.Name {
		t.Errorf("after a second claim: %v, want what z had", got)
	}
	if got := b.Changed(); len(got) != 0 {
		t.Errorf("asked again: %v", got)
	}
}
