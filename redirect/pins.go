package redirect

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"sluice.io/sluice/bpf"
)

// The pins: <bpffs>/links/<hook>, and <bpffs>/maps-<layout>/<map>. The layout is
// a digest of all specifications: after an upgrade that changes them, the maps
// of the new layout are made and filled beside the old ones, which serve until
// the programs have been switched over.
const (
	linksDir   = "links"
	mapsPrefix = "maps-"
)

// carried are the maps that only programs write and that hold no number given
// out by user space: they go over into a new layout, so that connections keep
// what they know.
var carried = []string{"sl_sessions", "sl_handoffs", "sl_udp_replies", "sl_counters", "sl_listeners"}

func layout(specs map[string]*ebpf.MapSpec) string {
	h := sha256.New()
	fmt.Fprintln(h, bpf.LayoutVersion)
	for _, name := range slices.Sorted(maps.Keys(specs)) {
		s := specs[name]
		fmt.Fprintln(h, name, s.Type, s.KeySize, s.ValueSize, s.MaxEntries, s.Flags)
	}
	return mapsPrefix + hex.EncodeToString(h.Sum(nil))[:8]
}

// openMaps opens the pinned maps, and makes those that are missing.
func openMaps(cfg Config) (opened map[string]*ebpf.Map, dir string, err error) {
	specs, err := bpf.Maps()
	if err != nil {
		return nil, "", err
	}
	if err := cfg.resize(specs); err != nil {
		return nil, "", err
	}
	dir = filepath.Join(cfg.BPFFS, layout(specs))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, "", fmt.Errorf("create the pin folder: %w", err)
	}
	opened = map[string]*ebpf.Map{}
	for name, spec := range specs {
		m, err := openMap(cfg, dir, name, spec)
		if err != nil {
			closeMaps(opened)
			return nil, "", err
		}
		opened[name] = m
	}
	return opened, dir, nil
}

func closeMaps(opened map[string]*ebpf.Map) {
	for _, m := range opened {
		m.Close()
	}
}

func openMap(cfg Config, dir, name string, spec *ebpf.MapSpec) (*ebpf.Map, error) {
	path := filepath.Join(dir, name)
	m, err := ebpf.LoadPinnedMap(path, nil)
	if err == nil {
		if err = spec.Compatible(m); err != nil {
			m.Close()
			return nil, fmt.Errorf("%s was not made by Sluice, `sluice uninstall` removes it: %w", path, err)
		}
		return m, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("open the pinned map %s: %w", path, err)
	}
	if m = carryOver(cfg, name, spec); m == nil {
		if m, err = ebpf.NewMap(spec); err != nil {
			return nil, fmt.Errorf("create the map %s: %w", name, err)
		}
	}
	if err := m.Pin(path); err != nil {
		m.Close()
		return nil, fmt.Errorf("pin the map %s: %w", name, err)
	}
	return m, nil
}

// carryOver returns a map of an earlier layout that may go on, or nil.
func carryOver(cfg Config, name string, spec *ebpf.MapSpec) *ebpf.Map {
	if !slices.Contains(carried, name) {
		return nil
	}
	paths, _ := filepath.Glob(filepath.Join(cfg.BPFFS, mapsPrefix+"*", name))
	for _, path := range paths {
		m, err := ebpf.LoadPinnedMap(path, nil)
		if err != nil {
			continue
		}
		// A clone is not pinned yet, so that it can be pinned at its new place
		// without losing the old.
		if clone, err := m.Clone(); err == nil && spec.Compatible(m) == nil {
			m.Close()
			return clone
		}
		m.Close()
	}
	return nil
}

// removeOldLayouts removes the maps that no program uses any more.
func removeOldLayouts(cfg Config, current string) error {
	dirs, err := filepath.Glob(filepath.Join(cfg.BPFFS, mapsPrefix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if dir != current {
			if err := os.RemoveAll(dir); err != nil {
				return fmt.Errorf("remove the maps of an earlier layout: %w", err)
			}
		}
	}
	return nil
}

const defaultBPFFS = "/sys/fs/bpf"

// MakePinFolder makes sure that dir is on a bpf filesystem, and creates it.
func MakePinFolder(dir string) error {
	if under(dir, defaultBPFFS) && !isBPFFS(defaultBPFFS) {
		if err := unix.Mount("bpf", defaultBPFFS, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700"); err != nil {
			return fmt.Errorf("mount a bpf filesystem at %s: %w", defaultBPFFS, err)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create the pin folder: %w", err)
	}
	if !isBPFFS(dir) {
		return fmt.Errorf("%s is not on a bpf filesystem: `mount -t bpf bpf %s`, or choose a folder below %s", dir, dir, defaultBPFFS)
	}
	// Whoever can write the maps decides where connections go.
	if err := errors.Join(os.Chown(dir, 0, 0), os.Chmod(dir, 0o700)); err != nil {
		return fmt.Errorf("close the pin folder to everybody but root: %w", err)
	}
	return nil
}

func under(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+"/")
}

func isBPFFS(dir string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(dir, &fs) == nil && uint32(fs.Type) == unix.BPF_FS_MAGIC
}
