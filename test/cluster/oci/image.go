// Package oci writes container images as archives, from files and nothing else:
// no registry, no container engine. Equal files give equal bytes.
//
// It owns the layout of the archive. It must not know which images there are.
package oci

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Image is an image of one layer.
type Image struct {
	Names      []string // Full references, such as registry.k8s.io/pause:3.10.1.
	Files      []File
	Entrypoint []string
	Args       []string // What follows the entry point unless the pod says otherwise.
	Env        []string // K=V.
	User       string   // Numbers: UID or UID:GID.
	Labels     map[string]string
}

// File is a file of an image.
type File struct {
	Path   string // In the image.
	Source string // On this machine; or
	Data   []byte
	Mode   int64 // 0755 when zero.
}

const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	// Not compressed: it goes to the same disk anyway, and is imported on each node.
	typeLayer = "application/vnd.oci.image.layer.v1.tar"
)

// epoch is every file's time.
var epoch = time.Unix(0, 0)

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type blob struct {
	desc descriptor
	data []byte
}

func newBlob(mediaType string, data []byte) blob {
	sum := sha256.Sum256(data)
	return blob{descriptor{MediaType: mediaType, Digest: "sha256:" + hex.EncodeToString(sum[:]), Size: len(data)}, data}
}

// WriteFile writes the image's archive. The file is there only when it is whole.
func (im Image) WriteFile(file string) error {
	part := file + ".part"
	f, err := os.Create(part)
	if err != nil {
		return err
	}
	err = errors.Join(im.Write(f), f.Close())
	if err == nil {
		err = os.Rename(part, file)
	}
	if err != nil {
		_ = os.Remove(part)
		return fmt.Errorf("write image %s: %w", strings.Join(im.Names, ", "), err)
	}
	return nil
}

// Write writes the image's archive.
func (im Image) Write(w io.Writer) error {
	if len(im.Names) == 0 {
		return errors.New("an image needs a name")
	}
	layer, err := im.layer()
	if err != nil {
		return err
	}
	blobs, index, err := im.describe(newBlob(typeLayer, layer))
	if err != nil {
		return err
	}
	tw := tar.NewWriter(w)
	files := []File{{Path: "oci-layout", Data: []byte(`{"imageLayoutVersion":"1.0.0"}`)}}
	for _, b := range blobs {
		files = append(files, File{Path: "blobs/" + strings.Replace(b.desc.Digest, ":", "/", 1), Data: b.data})
	}
	for _, f := range append(files, File{Path: "index.json", Data: index}) {
		f.Mode = 0o644
		if err := put(tw, f); err != nil {
			return err
		}
	}
	return tw.Close()
}

// describe makes the documents around a layer: all blobs, and the index.
func (im Image) describe(layer blob) (blobs []blob, index []byte, err error) {
	run := map[string]any{
		"Entrypoint": im.Entrypoint, "Cmd": im.Args, "User": im.User, "WorkingDir": "/",
		"Env": append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, im.Env...),
	}
	if im.Labels != nil {
		run["Labels"] = im.Labels
	}
	config, err := json.Marshal(map[string]any{
		"created": epoch.UTC().Format(time.RFC3339), "architecture": runtime.GOARCH, "os": "linux", "config": run,
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{layer.desc.Digest}},
	})
	if err != nil {
		return nil, nil, err
	}
	cfg := newBlob(typeConfig, config)
	doc, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": typeManifest, "config": cfg.desc, "layers": []descriptor{layer.desc},
	})
	if err != nil {
		return nil, nil, err
	}
	manifest := newBlob(typeManifest, doc)
	var named []descriptor
	for _, name := range im.Names {
		d := manifest.desc
		d.Annotations = map[string]string{
			"io.containerd.image.name":          name,
			"org.opencontainers.image.ref.name": name[strings.LastIndex(name, ":")+1:],
		}
		named = append(named, d)
	}
	index, err = json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": typeIndex, "manifests": named})
	return []blob{layer, cfg, manifest}, index, err
}

// layer is the file system: the image's files, their folders, /tmp, and the
// users that the programs run as.
func (im Image) layer() ([]byte, error) {
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	files := append([]File{
		{Path: "/etc/passwd", Mode: 0o644, Data: []byte("root:x:0:0:root:/:/\nnonroot:x:65532:65532:nonroot:/:/\n")},
		{Path: "/etc/group", Mode: 0o644, Data: []byte("root:x:0:\nnonroot:x:65532:\n")},
	}, im.Files...)
	slices.SortStableFunc(files, func(a, b File) int { return strings.Compare(path.Clean("/"+a.Path), path.Clean("/"+b.Path)) })
	dirs := map[string]bool{}
	if err := putDirs(tw, dirs, "tmp"); err != nil {
		return nil, err
	}
	for _, f := range files {
		f.Path = strings.TrimPrefix(path.Clean("/"+f.Path), "/")
		if f.Source != "" {
			data, err := os.ReadFile(f.Source)
			if err != nil {
				return nil, err
			}
			f.Data = data
		}
		if err := putDirs(tw, dirs, path.Dir(f.Path)); err != nil {
			return nil, err
		}
		if err := put(tw, f); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), tw.Close()
}

func put(tw *tar.Writer, f File) error {
	mode := f.Mode
	if mode == 0 {
		mode = 0o755
	}
	err := tw.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: f.Path, Mode: mode, Size: int64(len(f.Data)), ModTime: epoch,
	})
	if err != nil {
		return err
	}
	_, err = tw.Write(f.Data)
	return err
}

// putDirs writes a folder after those above it, each once.
func putDirs(tw *tar.Writer, done map[string]bool, dir string) error {
	if dir == "." || done[dir] {
		return nil
	}
	if err := putDirs(tw, done, path.Dir(dir)); err != nil {
		return err
	}
	done[dir] = true
	mode := int64(0o755)
	if dir == "tmp" {
		mode = 0o1777
	}
	return tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: mode, ModTime: epoch})
}
