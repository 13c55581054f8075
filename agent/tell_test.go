package agent

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// told runs something with a log, and returns its lines without their times.
func told(a *Agent, run func()) string {
	var b bytes.Buffer
	a.log = slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, at slog.Attr) slog.Attr {
		if at.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return at
	}}))
	run()
	return b.String()
}

func TestProblemsReachTheLogOnce(t *testing.T) {
	a, _ := newTestAgent(t)
	ref := model.ObjectRef{Kind: "Service", Namespace: "shop", Name: "cart"}
	broken := source.Problem{Object: ref, File: "mesh/a.yaml", Line: 4, Message: "unknown field", LastGood: true}
	moved := broken
	moved.Line = 5
	for _, c := range []struct {
		name     string
		problems []source.Problem
		want     string
	}{
		{"new", []source.Problem{broken}, `level=WARN msg="problem of the input" file=mesh/a.yaml line=4 object="Service shop/cart" problem="unknown field" last-good-serves=true` + "\n"},
		{"moved", []source.Problem{moved}, ""},
		{"not told", nil, ""},
		{"solved", []source.Problem{}, `level=INFO msg="a problem of the input is solved" file=mesh/a.yaml object="Service shop/cart" problem="unknown field"` + "\n"},
	} {
		if got := told(a, func() { a.resolve(source.Batch{Problems: c.problems}) }); got != c.want {
			t.Errorf("%s: the log says\n%swant\n%s", c.name, got, c.want)
		}
	}
}

func TestConditionsReachTheLogOnce(t *testing.T) {
	a, _ := newTestAgent(t)
	ref := model.ObjectRef{Kind: "HTTPRoute", Namespace: "shop", Name: "cart"}
	parent := model.ObjectRef{Kind: "Service", Namespace: "shop", Name: "cart"}
	status := func(accepted bool, reason string) *model.Status {
		return &model.Status{
			Origin:  model.Origin{Object: ref, File: "mesh/a.yaml", Line: 9},
			Parents: []model.ParentStatus{{Parent: parent, Conditions: []model.Condition{{Type: "Accepted", Status: accepted, Reason: reason, Message: "why"}}}},
		}
	}
	lost := `level=WARN msg=condition object="HTTPRoute shop/cart" where=mesh/a.yaml:9 parent="Service shop/cart" type=Accepted status=false reason=NoMatchingParent message=why` + "\n"
	well := `level=INFO msg="a condition is well again" object="HTTPRoute shop/cart" parent="Service shop/cart" type=Accepted` + "\n"
	for _, c := range []struct {
		name string
		now  *model.Status
		want string
	}{
		{"fine", status(true, "Accepted"), ""}, {"lost", status(false, "NoMatchingParent"), lost}, {"the same", status(false, "NoMatchingParent"), ""},
		{"well", status(true, "Accepted"), well}, {"lost again", status(false, "NoMatchingParent"), lost}, {"gone", nil, well},
	} {
		now := map[model.ObjectRef]*model.Status{ref: c.now}
		if got := told(a, func() { a.tellConditions(a.state.setStatuses(now), now) }); got != c.want {
			t.Errorf("%s: the log says\n%swant\n%s", c.name, got, c.want)
		}
	}
}

func TestTheLogIsBounded(t *testing.T) {
	a, _ := newTestAgent(t)
	var many []source.Problem
	for i := range maxTold + 7 {
		many = append(many, source.Problem{File: "mesh/a.yaml", Message: strings.Repeat("x", i+1)})
	}
	got := told(a, func() { a.resolve(source.Batch{Problems: many}) })
	if n := strings.Count(got, "\n"); n != maxTold+1 || !strings.Contains(got, "left-out=7") {
		t.Errorf("%d lines are written, want %d and how many are left out:\n%s", n, maxTold+1, got)
	}
}
