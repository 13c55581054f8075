package envoy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// turn is how several supervisors of one folder, such as that of a container and
// that of the one which is to replace it, agree which of them starts and ends
// Envoy. It is a file of which each byte can be locked; the kernel gives up the
// locks of who dies.
type turn struct {
	path string
	file *os.File
}

// The bytes that are locked.
const (
	// charge is held by the supervisor that minds Envoy.
	charge int64 = iota
	// claim is held by one that is to mind it next: whoever has the charge gives it
	// up then.
	claim
)

// openTurn opens the file of a folder.
func openTurn(path string) (*turn, error) {
	t := &turn{path: path}
	return t, t.open()
}

func (t *turn) open() error {
	f, err := os.OpenFile(t.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open the lock of who minds Envoy: %w", err)
	}
	if t.file != nil {
		t.file.Close()
	}
	t.file = f
	return nil
}

func (t *turn) close() { t.file.Close() }

func byteLock(kind int16, what int64) *unix.Flock_t {
	return &unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: what, Len: 1}
}

// try takes a lock, if nobody else has it.
func (t *turn) try(what int64) bool {
	return unix.FcntlFlock(t.file.Fd(), unix.F_OFD_SETLK, byteLock(unix.F_WRLCK, what)) == nil
}

func (t *turn) free(what int64) {
	_ = unix.FcntlFlock(t.file.Fd(), unix.F_OFD_SETLK, byteLock(unix.F_UNLCK, what)) // it does not fail for what is open
}

// taken tells whether somebody else has a lock.
func (t *turn) taken(what int64) bool {
	l := byteLock(unix.F_WRLCK, what)
	return unix.FcntlFlock(t.file.Fd(), unix.F_OFD_GETLK, l) == nil && l.Type != unix.F_UNLCK
}

// take gets the charge from whoever has it. It fails only when ctx is done, or the
// file cannot be had.
func (t *turn) take(ctx context.Context) error {
	return t.until(ctx, func() bool { return t.try(claim) }, func() bool { return t.try(charge) })
}

// inherit gets the charge when nobody has it, and nobody claims it.
func (t *turn) inherit(ctx context.Context) error {
	return t.until(ctx, func() bool { return !t.taken(claim) && t.try(charge) })
}

// until takes steps, each as soon as it can be, and leaves the charge held alone.
func (t *turn) until(ctx context.Context, steps ...func() bool) error {
	defer t.free(claim)
	for {
		for _, step := range steps {
			for !step() {
				if !pause(ctx, look) {
					return ctx.Err()
				}
			}
		}
		err := t.current()
		if !errors.Is(err, errRemoved) {
			return err
		}
		if err := t.open(); err != nil {
			return err
		}
	}
}

var errRemoved = errors.New("the file was removed")

// current makes sure that the open file is the one that others open: the last
// supervisor removes it.
func (t *turn) current() error {
	var open, named unix.Stat_t
	if err := unix.Fstat(int(t.file.Fd()), &open); err != nil {
		return fmt.Errorf("look at the lock of who minds Envoy: %w", err)
	}
	err := unix.Stat(t.path, &named)
	if errors.Is(err, unix.ENOENT) || err == nil && (open.Dev != named.Dev || open.Ino != named.Ino) {
		return errRemoved
	}
	if err != nil {
		return fmt.Errorf("look at the lock of who minds Envoy: %w", err)
	}
	return nil
}

// remove removes the file, for who has the charge: who waits for it notices.
func (t *turn) remove() error {
	if err := os.Remove(t.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the lock of who minds Envoy: %w", err)
	}
	return nil
}
