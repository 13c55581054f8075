package kube

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// journal keeps the last state of objects in one file: a frame for each write,
// of a length, a checksum, and compressed lines of JSON. A goroutine of its own
// appends what changed, a little later than it is handed on, and writes the file
// anew when it has grown far beyond what is in force.
type journal struct {
	dir, path string
	// only tells which kinds are kept.
	only func(kind string) bool
	// memory tells that nothing may be written to a disk.
	memory bool
	log    *slog.Logger
	lag    time.Duration
	kinds  map[string]*kind
	there  bool // there is something of an earlier run

	mu      sync.Mutex
	pending map[model.ObjectRef]source.KubeObject
	whole   bool // what is pending is all there is
	wake    chan struct{}

	// The rest is the writer's.
	all        map[model.ObjectRef]source.KubeObject
	size, base int64 // of the file now, and when it was last written anew
	failed     bool
}

// journalMagic starts a file, and changes with its format.
const journalMagic = "sluice cluster state 1\n"

// slack is how much a file may grow before it is written anew.
const slack = 1 << 20

// maxFrame bounds what is believed of a frame's length.
const maxFrame = 1 << 30

func newJournals(o Options, log *slog.Logger) []*journal {
	secret := func(kind string) bool { return kind == kindSecret }
	all := []*journal{newJournal(o, o.StateDir, func(kind string) bool { return !secret(kind) }, log)}
	if o.SecretsDir != "" {
		j := newJournal(o, o.SecretsDir, secret, log)
		j.memory = true
		all = append(all, j)
	}
	return all
}

func newJournal(o Options, dir string, only func(string) bool, log *slog.Logger) *journal {
	j := &journal{
		dir: dir, path: filepath.Join(dir, "cluster-state"), only: only, log: log, lag: time.Second, kinds: map[string]*kind{},
		pending: map[model.ObjectRef]source.KubeObject{}, wake: make(chan struct{}, 1), all: map[model.ObjectRef]source.KubeObject{},
	}
	for _, k := range kindsFor(o) {
		j.kinds[k.name] = k
	}
	return j
}

// entry is one object of a frame; without an object, it is gone.
type entry struct {
	Ref    model.ObjectRef `json:"ref"`
	Object json.RawMessage `json:"object,omitempty"`
}

// read returns what an earlier run kept. What is torn or not understood is left
// out, and said.
func (j *journal) read() map[model.ObjectRef]source.KubeObject {
	all := map[model.ObjectRef]source.KubeObject{}
	text, err := os.ReadFile(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		return all
	}
	rest, ok := bytes.CutPrefix(text, []byte(journalMagic))
	if err == nil && !ok {
		err = errors.New("its first line is not the one of this version")
	}
	for err == nil && len(rest) > 0 {
		rest, err = j.frame(rest, all)
	}
	if err != nil {
		j.log.Warn("cannot use all of the last state", "file", j.path, "objects", len(all), "err", err)
	}
	j.there = err == nil || len(all) > 0
	return all
}

// frame reads the first frame of a text, and returns what is after it.
func (j *journal) frame(text []byte, all map[model.ObjectRef]source.KubeObject) (rest []byte, err error) {
	if len(text) < 8 {
		return nil, errors.New("its last frame is torn")
	}
	size, sum := binary.LittleEndian.Uint32(text), binary.LittleEndian.Uint32(text[4:])
	text = text[8:]
	if size > maxFrame || int(size) > len(text) || crc32.ChecksumIEEE(text[:size]) != sum {
		return nil, errors.New("its last frame is torn")
	}
	lines := json.NewDecoder(flate.NewReader(bytes.NewReader(text[:size])))
	for {
		var e entry
		err := lines.Decode(&e)
		if errors.Is(err, io.EOF) {
			return text[size:], nil
		}
		if err == nil {
			err = j.apply(e, all)
		}
		if err != nil {
			return nil, err
		}
	}
}

func (j *journal) apply(e entry, all map[model.ObjectRef]source.KubeObject) error {
	k := j.kinds[e.Ref.Kind]
	if k == nil || !j.only(e.Ref.Kind) {
		return nil // of another configuration
	}
	if e.Object == nil {
		delete(all, e.Ref)
		return nil
	}
	obj := k.new()
	if err := json.Unmarshal(e.Object, obj); err != nil {
		return fmt.Errorf("decode %s: %w", e.Ref, err)
	}
	all[e.Ref] = obj
	return nil
}

// write notes changes to be written; whole tells that they are all there is.
func (j *journal) write(changed map[model.ObjectRef]source.KubeObject, whole bool) {
	j.mu.Lock()
	for ref, obj := range changed {
		if j.only(ref.Kind) {
			j.pending[ref] = obj
		}
	}
	j.whole = j.whole || whole
	due := j.whole || len(j.pending) > 0
	j.mu.Unlock()
	if !due {
		return
	}
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// run writes until ctx is done, and then what is left.
func (j *journal) run(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-j.wake:
			t := time.NewTimer(j.lag)
			select {
			case <-ctx.Done():
			case <-t.C:
			}
			t.Stop()
		}
		j.flush()
	}
}

// flush writes what is pending.
func (j *journal) flush() {
	j.mu.Lock()
	pending, whole := j.pending, j.whole
	j.pending, j.whole = map[model.ObjectRef]source.KubeObject{}, false
	j.mu.Unlock()
	if len(pending) == 0 && !whole {
		return
	}
	maps.Copy(j.all, pending)
	maps.DeleteFunc(j.all, func(_ model.ObjectRef, obj source.KubeObject) bool { return obj == nil })
	err := j.put(pending, whole || j.failed || j.size > 2*j.base+slack)
	if err != nil && !j.failed {
		j.log.Warn("cannot keep the last state: a restart without the API server would start from an older one, or none", "file", j.path, "err", err)
	}
	j.failed = err != nil
}

// put writes changes, or everything.
func (j *journal) put(changed map[model.ObjectRef]source.KubeObject, anew bool) error {
	if err := os.MkdirAll(j.dir, 0o700); err != nil {
		return err
	}
	if j.memory && !inMemory(j.dir) {
		return fmt.Errorf("%s is not in memory, and private keys are not written to disks", j.dir)
	}
	if anew {
		return j.rewrite()
	}
	frame, err := frameOf(changed)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(frame)
	j.size += int64(len(frame))
	return errors.Join(err, f.Close())
}

// rewrite writes all objects to a new file, and puts it in the place of the old.
func (j *journal) rewrite() error {
	frame, err := frameOf(j.all)
	if err != nil {
		return err
	}
	next := j.path + ".next"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append([]byte(journalMagic), frame...))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	j.size = int64(len(journalMagic) + len(frame))
	j.base = j.size
	return os.Rename(next, j.path)
}

// frameOf encodes objects.
func frameOf(objects map[model.ObjectRef]source.KubeObject) ([]byte, error) {
	var buf bytes.Buffer
	buf.Write(make([]byte, 8))
	packed, err := flate.NewWriter(&buf, flate.BestSpeed)
	if err != nil {
		return nil, err
	}
	lines := json.NewEncoder(packed)
	for ref, obj := range objects {
		e := entry{Ref: ref}
		if obj != nil {
			if e.Object, err = json.Marshal(obj); err != nil {
				return nil, fmt.Errorf("encode %s: %w", ref, err)
			}
		}
		if err := lines.Encode(e); err != nil {
			return nil, err
		}
	}
	if err := packed.Close(); err != nil {
		return nil, err
	}
	frame := buf.Bytes()
	binary.LittleEndian.PutUint32(frame, uint32(len(frame)-8))
	binary.LittleEndian.PutUint32(frame[4:], crc32.ChecksumIEEE(frame[8:]))
	return frame, nil
}
