package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve"
	"sluice.io/sluice/source"
	"sluice.io/sluice/source/file"
)

const refusedFront = `apiVersion: v1
kind: Service
metadata: {name: front, namespace: shop}
spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}
`

func refusedRoute(pattern string) string {
	return fmt.Sprintf(`apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: front, namespace: shop}
spec:
  parentRefs: [{group: "", kind: Service, name: front}]
  rules:
  - matches: [{path: {type: RegularExpression, value: %q}}]
    backendRefs: [{name: front, port: 80}]
`, pattern)
}

// refusedPaths are the path matches of all that is routed.
func refusedPaths(mesh *model.Mesh) []string {
	var paths []string
	for _, f := range mesh.Frontends {
		if f.HTTP == nil {
			continue
		}
		for _, e := range f.HTTP.Entries {
			paths = append(paths, e.Match.Path.Value)
		}
	}
	return paths
}

// TestRefusedEditKeepsTheRoute goes from files to the mesh, as the agent does: an
// expression that does not compile changes nothing that is served.
func TestRefusedEditKeepsTheRoute(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		next := filepath.Join(dir, "."+name)
		if err := os.WriteFile(next, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	put("front.yaml", refusedFront)
	put("route.yaml", refusedRoute("/a[0-9]+"))
	folder, err := file.New(dir, file.Options{StateDir: t.TempDir(), Check: resolve.Check, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	resolver, mesh := resolve.New(), model.NewMesh()
	take := func(b source.Batch) {
		mesh.Apply(resolver.Update(b.Changed).Delta)
	}
	take(folder.Load())
	ctx, cancel := context.WithCancel(t.Context())
	batches := make(chan source.Batch, 10)
	var running sync.WaitGroup
	running.Go(func() { _ = folder.Run(ctx, func(b source.Batch) { batches <- b }) })
	t.Cleanup(func() { cancel(); running.Wait() })
	next := func() source.Batch {
		t.Helper()
		select {
		case b := <-batches:
			take(b)
			return b
		case <-time.After(20 * time.Second):
			t.Fatal("an edit was not told")
			return source.Batch{}
		}
	}
	put("route.yaml", refusedRoute("/a[0-9+"))
	b := next()
	if len(b.Problems) != 1 || !b.Problems[0].LastGood || b.Problems[0].Line != 7 || !strings.Contains(b.Problems[0].Message, "/a[0-9+") {
		t.Errorf("problems %+v, want one of line 7 that tells the expression and that the last good state serves", b.Problems)
	}
	if got := refusedPaths(mesh); len(got) != 1 || got[0] != "/a[0-9]+" {
		t.Errorf("routed are %q, want what was before", got)
	}
	put("route.yaml", refusedRoute("/b[0-9]+"))
	if b := next(); len(b.Problems) != 0 {
		t.Errorf("mended, but problems %+v", b.Problems)
	}
	if got := refusedPaths(mesh); len(got) != 1 || got[0] != "/b[0-9]+" {
		t.Errorf("routed are %q, want the mended expression", got)
	}
}

// TestRefusedFromTheStart proves that a route that was never good gets its
// condition, besides a problem with file and line.
func TestRefusedFromTheStart(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "all.yaml"), []byte(refusedFront+"---\n"+refusedRoute("/a[0-9+")), 0o644); err != nil {
		t.Fatal(err)
	}
	_, result, problems, err := loadFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(problems) != 1 || problems[0].LastGood || problems[0].Line != 12 {
		t.Errorf("problems %+v, want one of line 12 without a last good state", problems)
	}
	st := result.Statuses[model.ObjectRef{Kind: "HTTPRoute", Namespace: "shop", Name: "front"}]
	if st == nil || len(st.Parents) != 1 {
		t.Fatalf("status %+v, want one with a parent", st)
	}
	for _, c := range st.Parents[0].Conditions {
		if c.Type == "Accepted" && c.Status {
			t.Errorf("%+v, want it not accepted", c)
		}
	}
}
