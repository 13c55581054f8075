package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// maxFile is the size of a file, in bytes, beyond which it is not read.
const maxFile = 64 << 20

// reading is what came of reading a file.
type reading struct {
	data  []byte
	stamp stamp
	// err is set when the file is there and cannot be read.
	err error
	// gone tells that there is no such file.
	gone bool
	// writing tells that the file is being written, as far as can be told, so
	// that data may be a part of what it is to be.
	writing bool
}

// read reads a file, and finds out whether somebody is writing it. A file that
// is replaced by a rename is never half-written; for all others there is only
// what the kernel tells: whether any process has the file open for writing, and
// whether it changed while it was read.
func read(path string) reading {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return failed(path, err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	switch {
	case err != nil:
		return failed(path, err)
	case !info.Mode().IsRegular():
		return reading{err: errors.New("it is no regular file")}
	case info.Size() > maxFile:
		return reading{stamp: stampOf(info), err: fmt.Errorf(
			"it has %d bytes, more than the %d that are read: split it", info.Size(), maxFile)}
	}
	r := reading{stamp: stampOf(info), writing: openForWriting(f)}
	r.data, err = readAll(f, info.Size())
	if err != nil {
		return failed(path, err)
	}
	after, err := f.Stat()
	if err != nil {
		return failed(path, err)
	}
	r.writing = r.writing || stampOf(after) != r.stamp || openForWriting(f)
	return r
}

// readAll reads to the end, or to one byte more than may be read.
func readAll(f *os.File, size int64) ([]byte, error) {
	var buf bytes.Buffer
	buf.Grow(int(size) + bytes.MinRead)
	_, err := buf.ReadFrom(io.LimitReader(f, maxFile+1))
	return buf.Bytes(), err
}

// failed tells a file that is gone from one that is there and cannot be read,
// such as a symbolic link to nothing.
func failed(path string, err error) reading {
	if errors.Is(err, fs.ErrNotExist) {
		if _, there := os.Lstat(path); errors.Is(there, fs.ErrNotExist) {
			return reading{gone: true}
		}
		return reading{err: errors.New("it is a symbolic link to nothing")}
	}
	return reading{err: reason(err)}
}

// openForWriting asks for a lease, which the kernel refuses while any process
// has the file open for writing, and gives it back. File systems without leases,
// and files of other users, give no answer: then it is false.
func openForWriting(f *os.File) bool {
	_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	if err == nil {
		_, _ = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	}
	return errors.Is(err, unix.EAGAIN)
}

// empty tells that there is nothing in a file, as is the case after it was
// truncated to be written.
func (r reading) empty() bool { return len(bytes.TrimSpace(r.data)) == 0 }
