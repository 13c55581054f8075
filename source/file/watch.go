package file

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"sluice.io/sluice/source"
)

// watch is one Run of a folder.
type watch struct {
	*Folder
	notify *fsnotify.Watcher // nil when the kernel gives none
	waits  *waits
	out    func(source.Batch)
	abs    string
	// watched are the folders that are watched, by their display paths.
	watched map[string]bool
	// unwatched are the folders that the log has said cannot be watched.
	unwatched map[string]bool
}

// Run watches the folder and calls out, from this goroutine, for each change,
// until ctx is done; it then returns nil. Changes since Load are found first;
// without a Load, everything is.
//
// The kernel's notifications say what to look at. Besides, all files are looked
// at every few seconds by size and time: notifications do not tell of changes on
// network file systems, nor behind symbolic links, and may fail to come when the
// kernel's limits are reached. That costs a stat per file; its period grows with
// what it takes, so that it stays below half a percent of a processor.
func (f *Folder) Run(ctx context.Context, out func(source.Batch)) error {
	w := &watch{Folder: f, waits: newWaits(f.tuning), out: out, abs: f.dir, watched: map[string]bool{}, unwatched: map[string]bool{}}
	if abs, err := filepath.Abs(f.dir); err == nil {
		w.abs = abs
	}
	notify, err := f.newWatcher()
	if err != nil {
		f.log.Warn("no file notifications: files are looked at every few seconds", "err", err)
	} else {
		defer func() { _ = notify.Close() }()
		w.notify = notify
		w.add(filepath.Dir(w.abs)) // to see the folder itself come and go
	}
	if !f.loaded {
		out(f.Load())
	}
	var writer sync.WaitGroup
	done := make(chan struct{})
	writer.Go(func() { f.ledger.journal.run(done) })
	w.loop(ctx)
	close(done)
	writer.Wait()
	return nil
}

func (w *watch) loop(ctx context.Context) {
	var events chan fsnotify.Event
	var failures chan error
	if w.notify != nil {
		events, failures = w.notify.Events, w.notify.Errors
	}
	poll := time.NewTimer(w.all(nil))
	defer poll.Stop()
	for {
		var due <-chan time.Time
		if at := w.waits.due(); !at.IsZero() {
			due = time.After(time.Until(at))
		}
		select {
		case <-ctx.Done():
			return
		case e := <-events:
			w.event(e)
		case err := <-failures:
			w.failure(err)
		case <-due:
			w.flush()
		case <-poll.C:
			poll.Reset(w.all(nil))
		}
	}
}

func (w *watch) failure(err error) {
	if !errors.Is(err, fsnotify.ErrEventOverflow) {
		w.log.Warn("file notifications failed; all files are looked at", "err", err)
	}
	w.waits.add("", time.Now())
}

// event notes what to look at after an event.
func (w *watch) event(e fsnotify.Event) {
	now := time.Now()
	if e.Name == w.abs {
		w.waits.add("", now)
		return
	}
	rel, inside := strings.CutPrefix(e.Name, strings.TrimSuffix(w.abs, "/")+"/")
	if !inside {
		return
	}
	path, name := w.display(rel), filepath.Base(rel)
	switch {
	case strings.HasPrefix(name, ".."): // a ConfigMap's link to its data
		w.waits.add("", now)
	case isHidden(name):
	case w.watched[path] || e.Has(fsnotify.Create) && isDir(path):
		w.waits.add("", now)
	case isInput(name):
		w.waits.add(path, now)
	}
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// flush looks at what is due.
func (w *watch) flush() {
	paths, rescan := w.waits.take()
	if rescan {
		w.all(paths)
		return
	}
	w.some(paths)
}

// some reads files and tells what changed.
func (w *watch) some(paths []string) {
	now := time.Now()
	for _, path := range w.refresh(paths, w.waits) {
		w.waits.add(path, now)
	}
	b := w.ledger.take(w.folderProblems(), false)
	if len(b.Changed)+len(b.Moved) > 0 || b.Problems != nil {
		w.out(b)
	}
}

// all scans the folder, reads what differs, and the given paths anyway, and
// returns when to do so again.
func (w *watch) all(paths []string) time.Duration {
	start := time.Now()
	t := scan(w.dir)
	for range 10 { // until no new folder turned up between listing and watching
		if !w.rewatch(t.dirs) {
			break
		}
		t = scan(w.dir)
	}
	took := time.Since(start)
	w.failed = t.failed
	w.some(union(paths, w.differing(t)))
	return max(w.period(), 200*took)
}

// period is the least time between two looks at all files.
func (w *watch) period() time.Duration {
	if w.notify == nil {
		return min(w.tuning.poll, time.Second) // there is nothing else to go by
	}
	return w.tuning.poll
}

func union(a, b []string) []string {
	all := make(map[string]stamp, len(a)+len(b))
	for _, list := range [][]string{a, b} {
		for _, path := range list {
			all[path] = stamp{}
		}
	}
	return sortedPaths(all)
}

// rewatch watches the folders, and no others. It reports whether one is new.
// Watching one that is watched already is cheap, and mends a watch of a folder
// that was replaced.
func (w *watch) rewatch(dirs []string) (fresh bool) {
	if w.notify == nil {
		return false
	}
	now := make(map[string]bool, len(dirs))
	for _, dir := range dirs {
		now[dir] = true
		fresh = fresh || !w.watched[dir]
		w.add(w.absOf(dir))
	}
	for dir := range w.watched {
		if !now[dir] {
			_ = w.notify.Remove(w.absOf(dir)) // an error says that it was not watched
		}
	}
	w.watched = now
	return fresh
}

func (w *watch) absOf(dir string) string {
	rel, err := filepath.Rel(w.dir, dir)
	if err != nil {
		return dir
	}
	return filepath.Join(w.abs, rel)
}

func (w *watch) add(dir string) {
	err := w.notify.Add(dir)
	if err != nil && !w.unwatched[dir] {
		w.log.Warn("cannot watch folder; its files are looked at every few seconds", "dir", dir, "err", err)
	}
	w.unwatched[dir] = err != nil
}
