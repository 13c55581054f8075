// Package file reads a folder of YAML and JSON files as the world, and watches
// it: each change of a file becomes a [source.Batch].
//
// It owns which files count, when a file is read, which object of which document
// stands where, and the last good state of each object. It must not know what a
// valid object is (that is scheme's), nor what objects mean.
//
// The parts, from the disk to the batch:
//
//	Folder.Run      events and timers: which paths to look at, and when
//	scan, read      the disk: which files there are, whether one is still being written
//	Folder.load     documents: which of a file's are new, decoded in parallel
//	ledger          objects: who defines which, what is served, what is wrong
//	vault           the last good documents of broken objects, on disk
//	journal         the good documents of all objects, on disk
package file

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/fsnotify/fsnotify"

	"sluice.io/sluice/source"
	"sluice.io/sluice/source/scheme"
)

// Options are a folder's options.
type Options struct {
	// StateDir is where good states are kept: those of broken objects in the folder
	// last-good below it, those of all others in the file good-states. Nothing is
	// kept when it is empty.
	StateDir string
	// Check tells of an object that is valid by its schema why it cannot be used all
	// the same, such as for an expression that does not compile; nil when nothing
	// can be told. It is asked once for each document that changed, of the object
	// alone, from several goroutines at once. What it refuses is treated as broken,
	// but handed on when there is no good state to serve instead.
	Check func(*source.Object) error
	// Log gets what is no problem of the input; slog.Default when nil.
	Log *slog.Logger
}

// Folder is a folder of files. Its methods are not safe for concurrent use; Run
// and Load are for one goroutine, one after the other.
type Folder struct {
	dir     string
	log     *slog.Logger
	decoder *scheme.Decoder
	files   map[string]*input // by path
	ledger  *ledger
	tuning  tuning
	// failed are the folders that the last scan could not list.
	failed map[string]error
	// loaded tells that there is a state which a half-written file must not spoil.
	loaded bool
	// progress is that of the reading under way.
	progress progress
	// newWatcher asks the kernel for notifications.
	newWatcher func() (*fsnotify.Watcher, error)
}

// Name is the folder's path.
func (f *Folder) Name() string { return f.dir }

// New returns a folder. The directory must exist by then.
func New(dir string, opts Options) (*Folder, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("read folder: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("read folder: %s is a file: give the folder that holds it", dir)
	}
	log := opts.Log
	if log == nil {
		log = slog.Default()
	}
	decoder := scheme.New()
	decoder.Check = opts.Check
	f := &Folder{
		dir: filepath.Clean(dir), log: log, decoder: decoder, files: map[string]*input{}, tuning: defaultTuning,
		progress:   progress{log: log},
		newWatcher: func() (*fsnotify.Watcher, error) { return fsnotify.NewBufferedWatcher(1024) },
	}
	keep := newVault(opts.StateDir, f.dir, f.decoder, log)
	f.ledger = newLedger(keep, newJournal(opts.StateDir, keep.folder, decoder, log), log)
	return f, nil
}
