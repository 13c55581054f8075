package xds_test

import (
	"strings"
	"testing"

	"sluice.io/sluice/model"
	"sluice.io/sluice/xds"
)

// TestWhatCannotBeEncodedIsTold: text that protocol buffers cannot carry must not
// make a resource vanish without a word.
func TestWhatCannotBeEncodedIsTold(t *testing.T) {
	d := model.NewDelta()
	bad := to("/", weighted("cart", 1))
	bad.Match.Query = []model.NamedMatch{{Name: "q", Kind: model.MatchExact, Value: "\xff"}}
	f := frontend(d, "cart", "", []string{"10.96.0.1"}, bad)
	s := xds.NewServer(xds.Config{})
	if err := s.Prepare(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	told := s.Status().Rejected
	if len(told) != 1 || told[0].Origin != f.Origin || !strings.Contains(told[0].Message, "UTF-8") || told[0].LastGood {
		t.Fatalf("told %+v", told)
	}
	mesh := model.NewMesh()
	mesh.Apply(d)
	if got := xds.Translate(mesh, xds.DefaultNetnsDir).Unfit; len(got) != 1 {
		t.Errorf("Translate tells %+v", got)
	}

	f.HTTP.Entries[0].Match.Query[0].Value = "x"
	if err := s.Prepare(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if told := s.Status().Rejected; len(told) != 0 {
		t.Errorf("mended, and still told: %+v", told)
	}
}
