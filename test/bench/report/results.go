// Package report turns raw figures of the benchmarks into tables, plots and the
// measured part of docs/benchmarks.md.
//
// It owns medians, ratios and their presentation. It must not measure.
package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sluice.io/sluice/test/bench/control"
	"sluice.io/sluice/test/bench/datapath"
)

// Results are all raw figures of a run.
type Results struct {
	Taken   time.Time `json:"taken"`
	Took    string    `json:"took"`
	Machine Machine   `json:"machine"`
	// Quick tells that the run only proved that everything works: its figures
	// mean nothing.
	Quick    bool             `json:"quick"`
	DataPath *datapath.Result `json:"dataPath,omitempty"`
	Control  *control.Result  `json:"control,omitempty"`
}

// Machine is where a run took place, and with which programs.
type Machine struct {
	CPU     string `json:"cpu"`
	CPUs    int    `json:"cpus"`
	Memory  string `json:"memory"`
	Kernel  string `json:"kernel"`
	Envoy   string `json:"envoy"`
	Version string `json:"version"`
}

// ThisMachine describes the machine that this process runs on.
func ThisMachine(envoy, version string) Machine {
	m := Machine{CPUs: runtime.NumCPU(), Envoy: envoy, Version: version}
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		m.Kernel = unix.ByteSliceToString(uts.Release[:])
	}
	m.CPU = field("/proc/cpuinfo", "model name")
	if kib, err := strconv.Atoi(strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB")); err == nil {
		m.Memory = fmt.Sprintf("%d GiB", (kib+1<<19)>>20)
	}
	return m
}

// field returns the value of the first line "name: value" of a file.
func field(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Save writes the raw figures into a directory, named by their time, and
// returns the file.
func (r *Results) Save(dir string) (string, error) {
	return save(r, dir, r.Taken.UTC().Format(stamp))
}

// stamp names files by time.
const stamp = "20060102-150405"

func save(figures any, dir, name string) (string, error) {
	text, err := json.MarshalIndent(figures, "", " ")
	if err != nil {
		return "", fmt.Errorf("save results: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("save results: %w", err)
	}
	file := filepath.Join(dir, name+".json")
	return file, os.WriteFile(file, text, 0o644)
}

// Load reads what Save wrote.
func Load(file string) (*Results, error) { return read[Results](file) }

func read[R any](file string) (*R, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("load results: %w", err)
	}
	var r R
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("load results from %s: %w", file, err)
	}
	return &r, nil
}
