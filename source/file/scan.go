package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sluice.io/sluice/source/syntax"
)

// isInput tells by its name whether a file is read. Hidden files, and what
// editors leave behind, are not: their names start with a dot or a # or do not
// end in .yaml, .yml or .json.
func isInput(name string) bool {
	if isHidden(name) || strings.HasPrefix(name, "#") {
		return false
	}
	switch filepath.Ext(name) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

func isHidden(name string) bool { return strings.HasPrefix(name, ".") }

func formatOf(path string) syntax.Format {
	if filepath.Ext(path) == ".json" {
		return syntax.JSON
	}
	return syntax.YAML
}

// stamp tells one state of a file from another without reading it.
type stamp struct {
	size           int64
	changed, wrote time.Time
	dev, inode     uint64
}

func stampOf(info fs.FileInfo) stamp {
	s := stamp{size: info.Size(), wrote: info.ModTime()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.changed = time.Unix(sys.Ctim.Unix())
		s.dev, s.inode = sys.Dev, sys.Ino
	}
	return s
}

// tree is what a scan found.
type tree struct {
	// files are the input files by path, with their stamps; the zero stamp when
	// one could not be looked at.
	files map[string]stamp
	// dirs are all folders that were listed, the root first.
	dirs []string
	// failed are the folders that could not be listed.
	failed map[string]error
}

// maxFolders is how deep folders may nest, symbolic links included.
const maxFolders = 32

// scan looks at all files of a folder, at all depths. Symbolic links are
// followed, so that mounted ConfigMaps and links to other folders work; a link
// to a folder around it is not.
func scan(dir string) *tree {
	t := &tree{files: map[string]stamp{}, failed: map[string]error{}}
	t.walk(dir, nil)
	return t
}

func (t *tree) walk(dir string, around []fs.FileInfo) {
	info, err := os.Stat(dir)
	if err != nil {
		t.failed[dir] = err
		return
	}
	for _, up := range around {
		if os.SameFile(up, info) {
			return
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.failed[dir] = err
		return
	}
	t.dirs = append(t.dirs, dir)
	for _, e := range entries {
		t.visit(filepath.Join(dir, e.Name()), e, append(around, info))
	}
}

func (t *tree) visit(path string, e fs.DirEntry, around []fs.FileInfo) {
	if isHidden(e.Name()) {
		return
	}
	link := e.Type()&fs.ModeSymlink != 0
	if !e.IsDir() && !link && !isInput(e.Name()) {
		return
	}
	info, err := os.Stat(path)
	switch {
	case err != nil && isInput(e.Name()) && (link || !errors.Is(err, fs.ErrNotExist)):
		t.files[path] = stamp{}
	case err != nil:
	case info.IsDir():
		if len(around) < maxFolders {
			t.walk(path, around)
		}
	case isInput(e.Name()):
		t.files[path] = stampOf(info)
	}
}

// below tells whether a path is in one of the folders that could not be listed.
func (t *tree) below(path string) bool {
	for dir := range t.failed {
		if dir == "." || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/") {
			return true
		}
	}
	return false
}
