package envoy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// shmDir is where the C library keeps shared memory.
const shmDir = "/dev/shm"

// What an Envoy shares with its successor, as hot restart version 11.104 lays it
// out: size and version, two locks, and flags.
const (
	memorySize    = 104
	memoryVersion = 11
	flagsAt       = 96
	// isStarting is set while an Envoy starts, until it has told its parent to
	// drain.
	isStarting = 1
)

// sharedMemory is the file that an Envoy shares with its successor, and leaves
// behind.
func (c Config) sharedMemory() string {
	return filepath.Join(shmDir, "envoy_shared_memory_"+strconv.FormatUint(uint64(c.baseID())*10, 10))
}

// starting tells whether the last Envoy that was started has not taken over yet.
// When it is dead, its parent still serves.
func (c Config) starting() bool {
	flags, err := c.readFlags()
	return err == nil && flags&isStarting != 0
}

// forgetStart says to the next Envoy that none is starting. One that ended while
// it did leaves that word behind, and no other could start by hot restart ever
// again.
func (c Config) forgetStart() error {
	flags, err := c.readFlags()
	if err != nil || flags&isStarting == 0 {
		return err
	}
	f, err := os.OpenFile(c.sharedMemory(), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("forget an Envoy that ended as it started: %w", err)
	}
	defer f.Close()
	b := binary.NativeEndian.AppendUint64(nil, flags&^isStarting)
	if _, err := f.WriteAt(b, flagsAt); err != nil {
		return fmt.Errorf("forget an Envoy that ended as it started: %w", err)
	}
	return nil
}

// readFlags reads the flags, zero where memory is laid out otherwise.
func (c Config) readFlags() (uint64, error) {
	b, err := os.ReadFile(c.sharedMemory())
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read what Envoys share: %w", err)
	}
	word := func(at int) uint64 { return binary.NativeEndian.Uint64(b[at:]) }
	if len(b) != memorySize || word(0) != memorySize || word(8) != memoryVersion {
		return 0, nil
	}
	return word(flagsAt), nil
}

// ownMemory gives Envoy's user the folder of shared memory, where that is one of
// this Envoy alone: containers have it from the run directory, so that an Envoy
// finds what one in another container left. Elsewhere it is the machine's, and
// everybody's.
func (c Config) ownMemory() error {
	var here, ours unix.Stat_t
	if err := unix.Stat(shmDir, &here); err != nil {
		return fmt.Errorf("look at %s: %w", shmDir, err)
	}
	if here.Nlink == 0 {
		return errNoMemory
	}
	if unix.Stat(c.memoryFolder(), &ours) != nil || here.Dev != ours.Dev || here.Ino != ours.Ino {
		return nil
	}
	if err := give(shmDir, 0o700, c.UID, c.GID); err != nil {
		return fmt.Errorf("give %s to uid %d: %w", shmDir, c.UID, err)
	}
	return nil
}

// errNoMemory says that the folder of shared memory was removed while it was
// mounted. Only a new container has another.
var errNoMemory = errors.New("the folder mounted at " + shmDir + " was removed: this container must be started again")

// memoryFolder is what is mounted for shared memory in containers.
func (c Config) memoryFolder() string { return filepath.Join(filepath.Dir(c.Dir), "shm") }
