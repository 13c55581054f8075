package netns

import (
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	folderEvents = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVE | unix.IN_ONLYDIR
	fileEvents   = unix.IN_MODIFY
)

// follow watches what tells of the declared paths: for each the nearest folder
// above it that exists, and for a cgroup its file of events (has it processes?).
// What was watched and is of no use any more is dropped.
func (w *watcher) follow(netns, cgroups []string) {
	old := w.watches
	w.watches = map[string]int{}
	for _, path := range netns {
		w.watchAbove(path)
	}
	for _, dir := range cgroups {
		w.watchAbove(dir)
		w.watch(filepath.Join(dir, "cgroup.events"), fileEvents)
	}
	current := map[int]bool{}
	for _, wd := range w.watches {
		current[wd] = true
	}
	for _, wd := range old {
		if !current[wd] {
			_, _ = unix.InotifyRmWatch(w.inotify, uint32(wd)) // may be gone with its file
		}
	}
}

func (w *watcher) watchAbove(path string) {
	for dir := filepath.Dir(path); !w.watch(dir, folderEvents) && dir != filepath.Dir(dir); {
		dir = filepath.Dir(dir)
	}
}

// watch adds a watch, or finds the one that is there.
func (w *watcher) watch(path string, events uint32) bool {
	if _, ok := w.watches[path]; ok {
		return true
	}
	wd, err := unix.InotifyAddWatch(w.inotify, path, events)
	if err != nil {
		return false
	}
	w.watches[path] = wd
	return true
}
