package rig

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// userHZ is the unit of /proc/stat and of /proc/PID/stat: the kernel's ABI
// fixes it at 100 on all architectures that Go runs on.
const userHZ = 100

// MachineBusy is the time, from an arbitrary start, that the machine's CPUs have
// not been idle, all together, in whatever context: processes, interrupts,
// kernel threads. It is made from the idle time because the kernel measures that
// one exactly, where it samples the others at its ticks.
func MachineBusy() (time.Duration, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("read idle time: %w", err)
	}
	first, _, _ := strings.Cut(string(stat), "\n")
	fields := strings.Fields(first)
	if len(fields) < 6 || fields[0] != "cpu" {
		return 0, fmt.Errorf("unexpected first line in /proc/stat: %q", first)
	}
	var ticks int64
	for _, f := range fields[4:6] { // idle and iowait
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read idle time: %w", err)
		}
		ticks += n
	}
	idle := time.Duration(ticks) * time.Second / userHZ
	return time.Since(start)*time.Duration(runtime.NumCPU()) - idle, nil
}

var start = time.Now()

// Background is the share of the idle machine's CPUs that is in use, in CPUs,
// measured for some time.
func Background(d time.Duration) (float64, error) {
	before, err := MachineBusy()
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	time.Sleep(d)
	after, err := MachineBusy()
	if err != nil {
		return 0, err
	}
	return max(0, float64(after-before)/float64(time.Since(begin))), nil
}

// RSS is the resident memory of a process, in bytes.
func RSS(pid int) (int64, error) { return memory(pid, "VmRSS:") }

// PeakRSS is the most resident memory that a process ever had, in bytes.
func PeakRSS(pid int) (int64, error) { return memory(pid, "VmHWM:") }

func memory(pid int, field string) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read memory: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, field); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("process %d has no %s", pid, strings.TrimSuffix(field, ":"))
}
