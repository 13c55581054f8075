package agent

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"sluice.io/sluice/model"
	"sluice.io/sluice/netns"
	"sluice.io/sluice/redirect"
	"sluice.io/sluice/resolve"
	"sluice.io/sluice/source"
	"sluice.io/sluice/xds"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// journal stands in for Envoy and the kernel and notes in which order they are
// told; what they do with it is tested with the real ones in test/netns.
type journal struct {
	told    []string
	failing error
	// silent makes Envoy answer nothing; late is set when it was not even waited for.
	silent, late bool
	synced       bool
}

func (j *journal) Prepare(ctx context.Context, _ *model.Delta) error {
	j.told = append(j.told, "prepare")
	j.late = ctx.Err() != nil
	if j.silent {
		return context.DeadlineExceeded
	}
	return nil
}

func (j *journal) Retire(context.Context) error {
	j.told = append(j.told, "retire")
	return nil
}

func (j *journal) Status() xds.Status { return xds.Status{Connected: true, Synced: j.synced} }

func (j *journal) Sync(*model.Mesh) error {
	j.told = append(j.told, "sync")
	return j.failing
}

func (j *journal) Apply(*model.Delta) error {
	j.told = append(j.told, "apply")
	return j.failing
}

// silentAddresses stands in for the node's addresses.
type silentAddresses struct{}

func (silentAddresses) Sync(*model.Mesh) error   { return nil }
func (silentAddresses) Apply(*model.Delta) error { return nil }

func (j *journal) Dump() (*redirect.Dump, error) { return &redirect.Dump{}, nil }

func (j *journal) take() []string {
	told := j.told
	j.told = nil
	return told
}

func newTestAgent(t *testing.T) (*Agent, *journal) {
	t.Helper()
	j := &journal{}
	log := slog.New(slog.DiscardHandler)
	return &Agent{
		log: log, state: newState(), resolver: resolve.New(), registry: netns.New(netns.Config{Dir: t.TempDir(), Log: log}), proxy: j, kernel: j,
		addresses: silentAddresses{},
		moved:     map[model.ObjectRef]*source.Object{},
	}, j
}

func frontend(name string, http bool) *model.Frontend {
	f := &model.Frontend{Key: model.FrontendKey{Namespace: "shop", Name: name, Port: 80, Protocol: model.TCP}, L4: &model.L4Routing{}}
	if http {
		f.L4, f.HTTP = nil, &model.HTTPRouting{}
	}
	return f
}

func changing(fs ...*model.Frontend) *model.Delta {
	d := model.NewDelta()
	for _, f := range fs {
		d.Frontends[f.Key] = f
	}
	return d
}

func TestEnvoyIsToldBeforeTheKernel(t *testing.T) {
	a, j := newTestAgent(t)
	a.change(t.Context(), changing(frontend("cart", true)))
	if got := j.take(); !slices.Equal(got, []string{"prepare", "apply"}) {
		t.Fatalf("told %v", got)
	}
}

func TestAStoppedEnvoyIsWaitedForOnce(t *testing.T) {
	a, j := newTestAgent(t)
	ctx := t.Context()
	j.silent = true
	a.change(ctx, changing(frontend("cart", true)))
	if j.late {
		t.Fatal("the first change did not wait for Envoy")
	}
	j.silent = false // what does not concern Envoy needs no answer
	a.change(ctx, changing(frontend("db", false)))
	j.silent = true
	a.change(ctx, changing(frontend("pay", true)))
	if !j.late {
		t.Error("a later change waited for an Envoy that does not answer")
	}
	j.take()
	a.retire(ctx)
	if got := j.take(); len(got) != 0 {
		t.Errorf("told %v, while Envoy does not answer", got)
	}
	j.silent, j.synced = false, true
	a.retire(ctx)
	if got := j.take(); !slices.Equal(got, []string{"retire"}) {
		t.Errorf("told %v when Envoy was back", got)
	}
	j.synced = false
	a.change(ctx, changing(frontend("cart", true)))
	if j.late {
		t.Error("an Envoy that is back is not waited for")
	}
}

func TestAFailedKernelUpdateIsRetriedWhole(t *testing.T) {
	a, j := newTestAgent(t)
	j.failing = errors.New("map full")
	a.change(t.Context(), changing(frontend("cart", false)))
	a.retry()
	if !a.state.kernelFailed() {
		t.Fatal("the failure is forgotten though it lasts")
	}
	j.failing = nil
	a.retry()
	if a.state.kernelFailed() {
		t.Fatal("the failure is told though it is over")
	}
	a.retry()
	if got := j.take(); !slices.Equal(got, []string{"prepare", "apply", "sync", "sync"}) {
		t.Fatalf("told %v", got)
	}
}

func TestNothingIsToldOfNoChange(t *testing.T) {
	a, j := newTestAgent(t)
	a.change(t.Context(), model.NewDelta())
	if got := j.take(); len(got) != 0 {
		t.Fatalf("told %v", got)
	}
}

func TestStatusSaysWhatServesInsteadOfABrokenObject(t *testing.T) {
	ref := model.ObjectRef{Kind: "HTTPRoute", Namespace: "shop", Name: "cart"}
	shared := &model.Status{
		Origin:  model.Origin{Object: ref},
		Parents: []model.ParentStatus{{Conditions: []model.Condition{{Type: "Accepted", Status: true, Message: "the route is in force"}}}},
	}
	st := &Status{
		Problems: []source.Problem{{Object: ref, File: "cart.yaml", Line: 7, Message: "bad", LastGood: true}},
		Objects:  []*model.Status{shared},
	}
	amend(st)
	if got := st.Objects[0].Parents[0].Conditions[0].Message; !strings.Contains(got, "last good") || !strings.Contains(got, "cart.yaml:7") {
		t.Errorf("message %q", got)
	}
	if got := shared.Parents[0].Conditions[0].Message; got != "the route is in force" {
		t.Errorf("the shared status was changed: %q", got)
	}
}
