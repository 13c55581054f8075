package envoy

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// record is what is kept on disk of the process that runs.
type record struct {
	PID int `json:"pid"`
	// StartTime is the kernel's, in clock ticks since boot: with it the pid names
	// one process only.
	StartTime uint64 `json:"startTime"`
	Epoch     int    `json:"epoch"`
	// Spec identifies what the process was started from; empty when not known.
	Spec    string `json:"spec"`
	Version string `json:"version,omitempty"`
}

func (c Config) write(r record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("record Envoy's process: %w", err)
	}
	return replace(c.recordFile(), append(b, '\n'), 0o644)
}

// find returns the Envoy that runs from this folder, nil when there is none. Of
// several (a hot restart was under way) it is the last.
func (c Config) find() (*process, error) {
	all, err := c.all()
	if err != nil || len(all) == 0 {
		return nil, err
	}
	last := slices.MaxFunc(all, func(a, b *process) int { return cmp.Compare(a.Epoch, b.Epoch) })
	for _, p := range all {
		if p != last {
			p.close()
		}
	}
	return last, nil
}

// all returns the Envoys that run from this folder.
func (c Config) all() ([]*process, error) {
	known, err := c.read()
	if err != nil {
		return nil, err
	}
	var all []*process
	for _, pid := range c.candidates(known) {
		if p := c.take(pid, known); p != nil {
			all = append(all, p)
		}
	}
	return all, nil
}

func (c Config) read() (record, error) {
	var r record
	b, err := os.ReadFile(c.recordFile())
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("read the record of Envoy's process: %w", err)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		c.Log.Warn("the record of Envoy's process is damaged; looking for it in its cgroup", "error", err)
		return record{}, nil
	}
	return r, nil
}

// candidates are the pids that may be Envoy's: the recorded one, and those in its
// cgroup, in case sluice was killed before it could record one.
func (c Config) candidates(known record) []int {
	var pids []int
	if known.PID > 0 {
		pids = append(pids, known.PID)
	}
	if c.Cgroup == "" {
		return pids
	}
	b, err := os.ReadFile(filepath.Join(c.Cgroup, "cgroup.procs"))
	if err != nil {
		return pids
	}
	for _, f := range strings.Fields(string(b)) {
		if pid, err := strconv.Atoi(f); err == nil && pid > 0 && !slices.Contains(pids, pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// take holds a process if it is an Envoy of this folder: started with its
// bootstrap file, and either the recorded one or in Envoy's cgroup.
func (c Config) take(pid int, known record) *process {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil
	}
	p := &process{record: record{PID: pid}, fd: fd}
	start, err := startTime(pid) // after the descriptor was opened: it is the same process
	args := arguments(pid)
	at := slices.Index(args, c.bootstrapFile())
	if err != nil || at < 1 || args[at-1] != "--config-path" {
		p.close()
		return nil
	}
	p.StartTime = start
	recorded := known.PID == pid && known.StartTime == start
	if !recorded && (c.Cgroup == "" || known.PID == pid && !c.inCgroup(pid)) {
		p.close()
		return nil
	}
	if i := slices.Index(args, "--restart-epoch"); i >= 0 && i+1 < len(args) {
		p.Epoch, _ = strconv.Atoi(args[i+1]) // an Envoy of epoch zero if it is no number
	}
	if i := slices.Index(args, hotFlag); i >= 0 && i+1 < len(args) {
		p.hot = args[i+1]
	}
	if recorded {
		p.Spec, p.Version = known.Spec, known.Version
	}
	return p
}

func (c Config) inCgroup(pid int) bool {
	b, err := os.ReadFile(filepath.Join(c.Cgroup, "cgroup.procs"))
	return err == nil && slices.Contains(strings.Fields(string(b)), strconv.Itoa(pid))
}

// startTime reads when a process was started; it fails for one that is dead and
// only waits to be reaped.
func startTime(pid int) (uint64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name in parentheses may hold anything; after it come state (3rd) and on.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 20 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return 0, fmt.Errorf("process %d is dead", pid)
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

func arguments(pid int) []string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
}
