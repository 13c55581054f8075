package netns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sluice.io/sluice/model"
)

// recheck is how often everything is looked at without a cause: for paths that
// no event tells of, such as /proc/PID/ns/net.
const recheck = 2 * time.Second

// recheckSoon is the same while something is under way that no event tells of: a
// loopback that comes up a moment after its network namespace was made, a pod's
// first process that enters its own.
const recheckSoon = 100 * time.Millisecond

// Run watches until ctx is done, and calls notify when Refresh would return
// something. A network namespace appears by a mount, which inotify does not
// tell of (it tells of the empty file that is mounted upon, too early): so the
// mount table is watched. Inotify tells of links, and of cgroups that appear,
// vanish, or get their first process.
func (r *Registry) Run(ctx context.Context, notify func()) error {
	wake, err := r.changed.open()
	if err != nil {
		return fmt.Errorf("watch network namespaces: %w", err)
	}
	defer r.changed.close()
	w, err := newWatcher(wake)
	if err != nil {
		return fmt.Errorf("watch network namespaces: %w", err)
	}
	defer w.close()
	stop := context.AfterFunc(ctx, r.changed.raise)
	defer stop()
	for ctx.Err() == nil {
		w.follow(r.watched())
		if r.stale() {
			notify()
		}
		if err := w.wait(r.pause()); err != nil {
			return fmt.Errorf("watch network namespaces: %w", err)
		}
	}
	return nil
}

// watched returns the declared paths.
func (r *Registry) watched() (netns, cgroups []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.declared {
		if w.Netns != "" {
			netns = append(netns, w.Netns)
		} else if dir, err := cgroupDir(w.Cgroup); err == nil {
			cgroups = append(cgroups, dir)
		}
	}
	return netns, cgroups
}

// pause is how long to wait for an event.
func (r *Registry) pause() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.placed {
		if errors.Is(p.condition.lacks, ErrLoopbackDown) {
			return recheckSoon
		}
	}
	for _, err := range r.problems {
		if errors.Is(err, ErrNotMounted) {
			return recheckSoon // its first process is about to enter it
		}
	}
	return recheck
}

// stale tells whether a workload is not what it was when it was last looked at.
func (r *Registry) stale() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key := range r.declared {
		if r.differs(key) {
			return true
		}
	}
	return false
}

func (r *Registry) differs(key model.WorkloadKey) bool {
	w := r.declared[key]
	if p := r.placed[key]; p != nil {
		now, err := r.identify(w, p)
		return err != nil || now != p.found || !p.settled() && p.changed(r.door())
	}
	// Not placed before: is what we wait for there?
	f, err := r.find(w)
	if err != nil {
		return false
	}
	defer f.Close()
	_, taken := r.holder(f.place)
	return !taken
}

// signal wakes a poll. Its zero value wakes nobody.
type signal struct {
	mu   sync.Mutex
	file *os.File
}

// open makes the eventfd to poll.
func (s *signal) open() (*os.File, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file = os.NewFile(uintptr(fd), "eventfd")
	return s.file, nil
}

func (s *signal) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file.Close()
	s.file = nil
}

func (s *signal) raise() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != nil {
		_, _ = s.file.Write([]byte{1, 0, 0, 0, 0, 0, 0, 0}) // full means raised
	}
}

// watcher waits for events of the kernel.
type watcher struct {
	wake    *os.File
	mounts  int // /proc/self/mountinfo: an exceptional condition tells of a change
	inotify int
	watches map[string]int
}

func newWatcher(wake *os.File) (*watcher, error) {
	mounts, err := unix.Open("/proc/self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	inotify, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		unix.Close(mounts)
		return nil, err
	}
	return &watcher{wake: wake, mounts: mounts, inotify: inotify, watches: map[string]int{}}, nil
}

func (w *watcher) close() {
	unix.Close(w.mounts)
	unix.Close(w.inotify)
}

// wait returns after an event, or after the time.
func (w *watcher) wait(d time.Duration) error {
	fds := []unix.PollFd{
		{Fd: int32(w.mounts), Events: unix.POLLPRI},
		{Fd: int32(w.inotify), Events: unix.POLLIN},
		{Fd: int32(w.wake.Fd()), Events: unix.POLLIN},
	}
	if _, err := unix.Poll(fds, int(d.Milliseconds())); err != nil && !errors.Is(err, unix.EINTR) {
		return err
	}
	drain(int(w.wake.Fd()))
	drain(w.inotify)
	return nil
}

// drain reads away what is there: that something happened is all we want.
func drain(fd int) {
	var b [4096]byte
	for {
		if n, err := unix.Read(fd, b[:]); n <= 0 || err != nil {
			return
		}
	}
}
