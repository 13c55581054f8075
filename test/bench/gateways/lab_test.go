package gateways

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"sluice.io/sluice/test/cluster"
)

// failing is a product that can't be installed.
type failing struct {
	product
	called       string
	installing   func() error
	uninstalling error
}

func (f *failing) name() string                        { return f.called }
func (f *failing) install(context.Context, Case) error { return f.installing() }
func (f *failing) uninstall(context.Context) error     { return f.uninstalling }

// bench is a lab whose API server takes everything and has nothing.
func bench(t *testing.T, products ...product) (*Lab, *content) {
	to := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") })
	a := &api{http.DefaultClient, "http://" + to.String()}
	c := &cluster.Cluster{}
	return &Lab{Cluster: c, api: a, products: products}, &content{cluster: c, api: a, pods: []netip.Addr{to.Addr()}}
}

func told(r *Result) (all []string) {
	for _, s := range r.Samples {
		all = append(all, fmt.Sprintf("%d %s %d: %s", s.Routes, s.Product, s.Pass, s.Failed))
	}
	return all
}

var twice = Options{
	Plans:    []Plan{{Case{Gateways: 1, Routes: 2}, 2}, {Case{Gateways: 1, Routes: 3}, 1}},
	Progress: func(string, ...any) {},
}

func TestProductsTakeTurnsAndAFailureEndsNothing(t *testing.T) {
	broken := func() error { return errors.New("broken") }
	l, filled := bench(t, &failing{called: "a", installing: broken}, &failing{called: "b", installing: broken})
	opts, known := twice, 0
	opts.Done = func(r *Result) { known = len(r.Samples) }
	var r Result
	if err := r.measure(t.Context(), l.trials(filled, opts)); err != nil {
		t.Fatal(err)
	}
	want := []string{"2 a 0", "2 b 0", "2 b 1", "2 a 1", "3 a 0", "3 b 0"}
	for i := range want {
		want[i] += ": install: broken"
	}
	if got := told(&r); !slices.Equal(got, want) || known != len(want) {
		t.Errorf("%d were told of, and there are\n%s", known, strings.Join(got, "\n"))
	}
}

func TestWhatIsMeasuredStaysWhenTheTimeIsUp(t *testing.T) {
	ctx, stop := context.WithCancelCause(t.Context())
	l, filled := bench(t, &failing{called: "b", installing: func() error { stop(errors.New("time is up")); return ctx.Err() }})
	opts, known := twice, 0
	opts.Done = func(r *Result) { known = len(r.Samples) }
	var r Result
	err := r.measure(ctx, l.trials(filled, opts))
	if got := told(&r); err == nil || known != 1 || len(got) != 3 || got[0] != "2 b 0: time is up" || !strings.HasPrefix(got[1], "2 b 1: not begun") {
		t.Errorf("%v; %d were told of, and there are\n%s", err, known, strings.Join(got, "\n"))
	}
}

func TestAProductThatStaysEndsTheRun(t *testing.T) {
	broken := func() error { return errors.New("broken") }
	l, filled := bench(t, &failing{called: "a", installing: broken, uninstalling: errors.New("it stays")}, &failing{called: "b", installing: broken})
	opts := twice
	opts.Done = func(*Result) {}
	var r Result
	err := r.measure(t.Context(), l.trials(filled, opts))
	if got := told(&r); err == nil || len(got) != 6 || !strings.Contains(got[1], "it stays") || !strings.Contains(got[5], "not begun") {
		t.Errorf("%v, and there are\n%s", err, strings.Join(got, "\n"))
	}
}
