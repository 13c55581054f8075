package ca

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// The file, and the lock beside it, which has no content. The lock is not the
// file itself, which is replaced by each change.
const (
	fileName = "authority.json"
	lockName = "authority.lock"
)

// maxFile is far more than three roots take.
const maxFile = 64 << 10

// prepareDir makes the folder, or checks that it is closed to others.
func prepareDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the authority's folder: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is no folder", dir)
	}
	return private(dir, info)
}

// private tells whether a file or folder is open to anybody but us.
func private(path string, info os.FileInfo) error {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d, not to us: others could read or replace the authority's key; see who made it, then `chown` it", path, stat.Uid)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%s has mode %#o: others could read or replace the authority's key; `chmod go= %s`, and if others are on this machine, rotate the authority", path, mode, path)
	}
	return nil
}

// lockDir takes the lock, or says that somebody has it.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the authority: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("the authority in %s is in use by another process", dir)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// sweep removes what a writer that was killed has left: there are keys in it.
// The lock is held, so nobody is writing.
func sweep(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, fileName+".*"))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// readState reads the file. What cannot be read is left as it is: a new authority
// in its place would be one that nobody trusts.
func readState(path string) (state, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return state{}, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return state{}, err
	}
	if err := private(path, info); err != nil {
		return state{}, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return state{}, fmt.Errorf("%s is not a file that was written here", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return state{}, err
	}
	s, err := decode(text)
	if err != nil {
		return state{}, fmt.Errorf("%s is damaged (%w): restore it from a backup, or move it away to start anew, with nobody trusting what was signed before", path, err)
	}
	return s, nil
}

// writeState replaces the file as a whole: after a power failure there is the old
// one, or the new one.
func writeState(path string, s state) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	// Made anew with a random name: never open to others, and nobody's symlink.
	f, err := os.CreateTemp(filepath.Dir(path), fileName+".")
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
