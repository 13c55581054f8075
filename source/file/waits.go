package file

import "time"

// tuning are the times that the watch goes by.
type tuning struct {
	// quiet is how long nothing must happen before changes are read.
	quiet time.Duration
	// most is how long changes wait when something always happens.
	most time.Duration
	// still is how long a file that is open for writing, or that was emptied, must
	// stay the same to be read all the same.
	still time.Duration
	// patience is how long a file that is being written is waited for at all.
	patience time.Duration
	// poll is the least time between two looks at all files.
	poll time.Duration
}

var defaultTuning = tuning{
	quiet:    10 * time.Millisecond,
	most:     100 * time.Millisecond,
	still:    time.Second,
	patience: 10 * time.Second,
	poll:     5 * time.Second,
}

// waits are the paths to look at, and since when. It knows no clock.
type waits struct {
	tuning
	// paths were named by events; rescan asks for a look at all.
	paths  map[string]bool
	rescan bool
	// first and last are when the first and last event came that is not dealt with.
	first, last time.Time
	// files are those found being written.
	files map[string]*writing
}

// writing is a file that is being written.
type writing struct {
	since, changed time.Time
	stamp          stamp
}

func newWaits(t tuning) *waits {
	return &waits{tuning: t, paths: map[string]bool{}, files: map[string]*writing{}}
}

// add notes an event at a path, or for all when the path is empty.
func (w *waits) add(path string, now time.Time) {
	if !w.any() {
		w.first = now
	}
	w.last = now
	if path == "" {
		w.rescan = true
	} else {
		w.paths[path] = true
	}
}

func (w *waits) any() bool { return w.rescan || len(w.paths) > 0 }

// due is when to look; the zero time when there is nothing to look at.
func (w *waits) due() time.Time {
	if !w.any() {
		return time.Time{}
	}
	due, latest := w.last.Add(w.quiet), w.first.Add(w.most)
	if latest.Before(due) {
		return latest
	}
	return due
}

// take returns what to look at, and forgets it.
func (w *waits) take() (paths []string, rescan bool) {
	all := make(map[string]stamp, len(w.paths))
	for path := range w.paths {
		all[path] = stamp{}
	}
	rescan = w.rescan
	w.paths, w.rescan = map[string]bool{}, false
	return sortedPaths(all), rescan
}

// again tells whether to read a file again later, because it is being written.
// A file that had objects and is empty now is taken to be.
func (w *waits) again(path string, r reading, had bool, now time.Time) bool {
	if r.gone || r.err != nil || !r.writing && !(had && r.empty()) {
		delete(w.files, path)
		return false
	}
	f := w.files[path]
	if f == nil {
		f = &writing{since: now, changed: now, stamp: r.stamp}
		w.files[path] = f
	}
	if f.stamp != r.stamp {
		f.stamp, f.changed = r.stamp, now
	}
	if now.Sub(f.changed) >= w.still || now.Sub(f.since) >= w.patience {
		delete(w.files, path)
		return false
	}
	return true
}
