package file

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// TestWatchStorm makes hundreds of changes of all kinds in quick order; in the
// end what was told must be what is there, nothing more and nothing less.
func TestWatchStorm(t *testing.T) {
	const seed = 1
	random := rand.New(rand.NewPCG(seed, seed))
	dir := t.TempDir()
	w := watchFolder(t, dir, nil)
	names := []string{"a.yaml", "b.yaml", "sub/c.yaml", "sub/deep/d.yml", "e.json"}
	for i := range 400 {
		path := filepath.Join(dir, names[random.IntN(len(names))])
		switch random.IntN(6) {
		case 0:
			_ = os.Remove(path) // there or not
		case 1:
			_ = os.RemoveAll(filepath.Join(dir, "sub"))
		case 2:
			write(t, path, serviceYAML("broken", "x")+"---\n{{{")
		case 3:
			write(t, path+".tmp", serviceYAML(fmt.Sprint("s", random.IntN(4)), fmt.Sprint(i)))
			rename(t, path+".tmp", path)
		default:
			write(t, path, serviceYAML(fmt.Sprint("s", random.IntN(4)), fmt.Sprint(i))+
				"---\n"+serviceYAML(fmt.Sprint("s", random.IntN(4)), fmt.Sprint(i)))
		}
	}
	_ = os.RemoveAll(filepath.Join(dir, "sub"))
	for i, name := range names {
		text := serviceYAML(fmt.Sprint("end", i), "end")
		if filepath.Ext(name) == ".json" {
			text = fmt.Sprintf(`{"apiVersion":"v1","kind":"Service","metadata":{"name":"end%d","annotations":{"note":"end"}},"spec":{"clusterIP":"None"}}`, i)
		}
		write(t, filepath.Join(dir, name), text)
	}
	w.eventually("exactly the last state", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.objects) != len(names) || len(w.problems) > 0 {
			return false
		}
		for i, name := range names {
			o := w.objects[service(fmt.Sprint("end", i))]
			if o == nil || o.Origin.File != filepath.Join(dir, name) {
				return false
			}
		}
		return true
	})
}
