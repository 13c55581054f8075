package main

import (
	"path/filepath"
	"testing"
)

// The image's name is refused before anything is built.
func TestImageName(t *testing.T) {
	for _, name := range []string{"registry.example.com/sluice", "registry.example.com:5000/sluice", ""} {
		if err := image(t.Context(), []string{filepath.Join(t.TempDir(), "image.tar"), name}); err == nil {
			t.Errorf("an image without a tag was written: %q", name)
		}
	}
	if err := image(t.Context(), []string{"registry.example.com/sluice:v1"}); err == nil {
		t.Error("an image was written to no file")
	}
}
