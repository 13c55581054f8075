package envoy

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"sluice.io/sluice/xds/bootstrap"
)

// Envoy 1.40 leaves a thread in the network namespace in which it could not bind
// an address. What that thread binds afterwards is bound there, and threads that
// it starts are there, too. Whatever Sluice configures names its network namespace, but for
// the sockets by which datagrams go on to backends.

const (
	// A thread is in another network namespace for moments, in the ordinary course.
	// One that is in the same in all of so many looks in a row has been left there.
	glances     = 20
	glanceEvery = 5 * time.Millisecond
)

// Between hot restarts for this there are five minutes, and each time twice as
// many: a workload that brings it about again and again gains little.
const (
	firstAstray = 5 * time.Minute
	lastAstray  = 24 * time.Hour
)

// astray names a thread of an Envoy that has been left in another network
// namespace; empty if there is none, or one cannot tell.
func (p *process) astray() string {
	home, err := os.Readlink(strings.Replace(bootstrap.NodeNetns, "self", strconv.Itoa(p.PID), 1))
	if err != nil {
		return ""
	}
	tasks := fmt.Sprintf("/proc/%d/task", p.PID)
	entries, err := os.ReadDir(tasks)
	if err != nil {
		return ""
	}
	for _, e := range entries {
		task := filepath.Join(tasks, e.Name())
		name, err := os.ReadFile(filepath.Join(task, "comm"))
		if err != nil || e.Name() != strconv.Itoa(p.PID) && !strings.HasPrefix(string(name), "wrk:") {
			continue
		}
		if at := stays(filepath.Join(task, "ns/net"), home); at != "" {
			return fmt.Sprintf("%s (%s) in %s", strings.TrimSpace(string(name)), e.Name(), at)
		}
	}
	return ""
}

// stays is the network namespace that a thread is in and does not leave, unless it
// is that in which it belongs.
func stays(link, home string) string {
	first := ""
	for range glances {
		at, err := os.Readlink(link)
		if err != nil || at == home || first != "" && at != first {
			return ""
		}
		first = at
		time.Sleep(glanceEvery)
	}
	return first
}

// search looks for a thread that has gone astray, and tells of it once.
func (s *Supervisor) search(p *process) {
	thread := p.astray()
	if thread != "" && s.astray == "" {
		s.cfg.Log.Error("a thread of Envoy was left in a workload's network namespace: it could not bind a listener there",
			"thread", thread, "pid", p.PID, "log", s.cfg.lastWords())
		s.update(func(st *Status) { st.Astray++ })
	}
	s.astray = thread
}

// mayReturn tells whether Envoy is to be restarted for a thread that is astray.
func (s *Supervisor) mayReturn() bool {
	return s.astray != "" && !time.Now().Before(s.astrayAgain)
}

// returns notes that it is.
func (s *Supervisor) returns() {
	if s.astray == "" {
		return
	}
	s.astrayWait = min(lastAstray, max(firstAstray, 2*s.astrayWait))
	s.astrayAgain, s.astray = time.Now().Add(s.astrayWait), ""
}
