package file

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"sluice.io/sluice/source"
)

func routeYAML(i, weight int) string {
	return fmt.Sprintf(`apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: route-%d
  namespace: shop
spec:
  parentRefs:
  - {group: "", kind: Service, name: cart-%d, port: 80}
  rules:
  - name: canary
    matches:
    - path: {type: PathPrefix, value: /cart}
      headers: [{name: x-canary, value: "true"}]
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: {set: [{name: x-version, value: canary}]}
    backendRefs:
    - {name: cart-v1, port: 80, weight: %d}
    - {name: cart-v2, port: 80, weight: 10}
  - backendRefs:
    - {name: cart-v1, port: 80}
`, i, i, weight)
}

// layouts are the ways to lay n routes out; write makes a file with route i as
// edited, and lines lines put before it.
var layouts = []struct {
	name  string
	fill  func(b *testing.B, dir string, n int)
	write func(b *testing.B, dir string, n, i, weight, lines int)
}{
	{"files", func(b *testing.B, dir string, n int) {
		for i := range n {
			put(b, filepath.Join(dir, fmt.Sprintf("%d.yaml", i)), routeYAML(i, 90))
		}
	}, func(b *testing.B, dir string, n, i, weight, lines int) {
		put(b, filepath.Join(dir, fmt.Sprintf("%d.yaml", i)), strings.Repeat("# line\n", lines)+routeYAML(i, weight))
	}},
	{"documents", func(b *testing.B, dir string, n int) { oneFile(b, dir, n, -1, 90, 0) }, oneFile},
}

func oneFile(b *testing.B, dir string, n, edited, weight, lines int) {
	var text strings.Builder
	for i := range n {
		if i == edited {
			text.WriteString(strings.Repeat("# line\n", lines) + routeYAML(i, weight) + "---\n")
		} else {
			text.WriteString(routeYAML(i, 90) + "---\n")
		}
	}
	put(b, filepath.Join(dir, "all.yaml"), text.String())
}

func put(b *testing.B, path, text string) {
	if err := os.WriteFile(path+".tmp", []byte(text), 0o644); err != nil {
		b.Fatal(err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkLoad is the first read of a folder of routes.
func BenchmarkLoad(b *testing.B) {
	each(b, func(b *testing.B, dir string, layout, n int) {
		for b.Loop() {
			f := open(b, dir)
			if got := f.Load(); len(got.Changed) != n {
				b.Fatalf("%d objects: %v", len(got.Changed), got.Problems)
			}
		}
	})
}

// BenchmarkEdit is the cost of an edit of one route in the middle, from the file
// on disk to the batch, without the wait for the file to be quiet. "moving" edits
// also add a line, so that all documents below move.
func BenchmarkEdit(b *testing.B) {
	for _, moving := range []bool{false, true} {
		name := map[bool]string{false: "same-length", true: "moving"}[moving]
		b.Run(name, func(b *testing.B) {
			each(b, func(b *testing.B, dir string, layout, n int) { edits(b, dir, layout, n, moving) })
		})
	}
}

func edits(b *testing.B, dir string, layout, n int, moving bool) {
	f := open(b, dir)
	f.Load()
	i, weight, lines := n/2, 10, 0
	path := filepath.Join(dir, "all.yaml")
	if layouts[layout].name == "files" {
		path = filepath.Join(dir, fmt.Sprintf("%d.yaml", i))
	}
	w := newWaits(f.tuning)
	for b.Loop() {
		b.StopTimer()
		weight = 10 + (weight+1)%80
		if moving {
			lines = 1 - lines
		}
		layouts[layout].write(b, dir, n, i, weight, lines)
		b.StartTimer()
		f.refresh([]string{path}, w)
		if got := f.ledger.take(nil, false); len(got.Changed) != 1 {
			b.Fatalf("%d changes: %v", len(got.Changed), got.Problems)
		}
	}
}

// BenchmarkScan is one look at all files, as is done every few seconds.
func BenchmarkScan(b *testing.B) {
	each(b, func(b *testing.B, dir string, layout, n int) {
		f := open(b, dir)
		f.Load()
		for b.Loop() {
			if paths := f.differing(scan(dir)); len(paths) > 0 {
				b.Fatal(paths)
			}
		}
	})
}

// BenchmarkWatch is the time from a written file to the batch, with the watcher's
// own delay in it.
func BenchmarkWatch(b *testing.B) {
	each(b, func(b *testing.B, dir string, layout, n int) {
		f := open(b, dir)
		f.Load()
		batches := make(chan source.Batch, 100)
		go func() { _ = f.Run(b.Context(), func(got source.Batch) { batches <- got }) }()
		layouts[layout].write(b, dir, n, n/2, 1, 0)
		<-batches
		weight := 1
		for b.Loop() {
			b.StopTimer()
			weight = 10 + (weight+1)%80
			layouts[layout].write(b, dir, n, n/2, weight, 0)
			b.StartTimer()
			select {
			case <-batches:
			case <-time.After(20 * time.Second):
				b.Fatal("no batch")
			}
		}
	})
}

func open(b *testing.B, dir string) *Folder {
	f, err := New(dir, Options{StateDir: b.TempDir(), Log: quiet()})
	if err != nil {
		b.Fatal(err)
	}
	return f
}

func each(b *testing.B, run func(b *testing.B, dir string, layout, n int)) {
	for layout := range layouts {
		for _, n := range []int{100, 1000, 5000} {
			b.Run(fmt.Sprintf("%s=%d", layouts[layout].name, n), func(b *testing.B) {
				dir := b.TempDir()
				layouts[layout].fill(b, dir, n)
				runtime.GC()
				run(b, dir, layout, n)
			})
		}
	}
}
