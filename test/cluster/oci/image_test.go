package oci

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// unpack returns the files of an archive, and their names in order.
func unpack(t *testing.T, b []byte) (map[string][]byte, []string) {
	t.Helper()
	files := map[string][]byte{}
	var names []string
	r := tar.NewReader(bytes.NewReader(b))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, names
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = data
		names = append(names, h.Name)
	}
}

func TestWrite(t *testing.T) {
	source := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(source, []byte("the program"), 0o600); err != nil {
		t.Fatal(err)
	}
	im := Image{
		Names:      []string{"example.com/a:v1", "example.com/a:v2"},
		Files:      []File{{Path: "/usr/bin/a", Source: source}, {Path: "etc/a.conf", Data: []byte("x"), Mode: 0o600}},
		Entrypoint: []string{"/usr/bin/a"},
	}
	var one, two bytes.Buffer
	if err := errors.Join(im.Write(&one), im.Write(&two)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("equal files gave different archives")
	}
	files, _ := unpack(t, one.Bytes())
	var index struct{ Manifests []descriptor }
	if err := json.Unmarshal(files["index.json"], &index); err != nil {
		t.Fatal(err)
	}
	if len(index.Manifests) != 2 || index.Manifests[1].Annotations["io.containerd.image.name"] != "example.com/a:v2" {
		t.Fatalf("names in the index: %s", files["index.json"])
	}
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	if err := json.Unmarshal(content(t, files, index.Manifests[0]), &manifest); err != nil {
		t.Fatal(err)
	}
	if c := string(content(t, files, manifest.Config)); !strings.Contains(c, `"Entrypoint":["/usr/bin/a"]`) || !strings.Contains(c, manifest.Layers[0].Digest) {
		t.Errorf("config: %s", c)
	}
	layer, names := unpack(t, content(t, files, manifest.Layers[0]))
	if string(layer["usr/bin/a"]) != "the program" || string(layer["etc/a.conf"]) != "x" {
		t.Errorf("files of the layer: %q", layer)
	}
	want := []string{"tmp/", "etc/", "etc/a.conf", "etc/group", "etc/passwd", "usr/", "usr/bin/", "usr/bin/a"}
	if !slices.Equal(names, want) {
		t.Errorf("the layer has %v, want %v", names, want)
	}
}

// content returns a blob, whose digest and size must be true.
func content(t *testing.T, files map[string][]byte, d descriptor) []byte {
	t.Helper()
	b, ok := files["blobs/"+strings.Replace(d.Digest, ":", "/", 1)]
	sum := sha256.Sum256(b)
	if !ok || d.Size != len(b) || d.Digest != "sha256:"+hex.EncodeToString(sum[:]) {
		t.Fatalf("blob %s of %d bytes: there are %d, with another digest", d.Digest, d.Size, len(b))
	}
	return b
}

func TestWriteFileLeavesNothingHalf(t *testing.T) {
	dir := t.TempDir()
	im := Image{Names: []string{"example.com/a:v1"}, Files: []File{{Path: "/a", Source: filepath.Join(dir, "missing")}}}
	if err := im.WriteFile(filepath.Join(dir, "a.tar")); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("error is %v, want one that names the file", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("files are left: %v", entries)
	}
}
