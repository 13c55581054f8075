package file

import (
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"sluice.io/sluice/source"
)

// TestCheckOnceForEachChange counts how often the check is asked.
func TestCheckOnceForEachChange(t *testing.T) {
	dir := t.TempDir()
	var asked atomic.Int32
	f, err := New(dir, Options{Log: quiet(), Check: func(o *source.Object) error {
		asked.Add(1)
		if o.GetAnnotations()["note"] == "bad" {
			return errors.New("it is bad")
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "a.yaml")
	docs := func(notes ...string) string {
		var all []string
		for i, note := range notes {
			all = append(all, serviceYAML(string(rune('a'+i)), note))
		}
		return "---\n" + strings.Join(all, "---\n")
	}
	for _, step := range []struct {
		name, text string
		want       int32
	}{
		{"first", docs("good", "good", "bad"), 3},
		{"one edited", docs("good", "edited", "bad"), 1},
		{"all moved", "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: x}\n" + docs("good", "edited", "bad"), 0},
		{"one refused", docs("bad", "edited", "bad"), 1},
		{"broken by its schema", docs("bad", "edited") + "---\nkind: Service\n", 0},
	} {
		asked.Store(0)
		write(t, path, step.text)
		f.sync()
		if got := asked.Load(); got != step.want {
			t.Errorf("%s: asked %d times, want %d", step.name, got, step.want)
		}
	}
}
