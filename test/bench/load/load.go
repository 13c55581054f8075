// Package load owns the load programs of the benchmarks: a server and a client
// in C, because a Go runtime's own scheduling would blur figures of some
// microseconds. It builds them, starts them in a cell and reads their results.
//
// It must not know what lies between the client and the server.
package load

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"sluice.io/sluice/test/bench/rig"
)

//go:embed http.h client.c server.c
var sources embed.FS

// Programs are the built load programs.
type Programs struct{ client, server string }

// Build compiles the load programs into a directory.
func Build(dir string) (*Programs, error) {
	if err := os.CopyFS(dir, sources); err != nil {
		return nil, fmt.Errorf("unpack load programs: %w", err)
	}
	compiler, err := findCompiler()
	if err != nil {
		return nil, err
	}
	p := &Programs{client: filepath.Join(dir, "client"), server: filepath.Join(dir, "server")}
	for _, program := range []string{p.client, p.server} {
		cmd := exec.Command(compiler, "-O2", "-Wall", "-o", program, program+".c")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build load programs: %w: %s", err, out)
		}
	}
	return p, nil
}

func findCompiler() (string, error) {
	for _, name := range []string{"clang", "cc"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("build load programs: no C compiler: install clang and libc6-dev")
}

// Serve starts the server in a cell's server pod.
func (p *Programs) Serve(c *rig.Cell, port int) error {
	s, err := c.Start(c.Server, "pods", p.server, strconv.Itoa(port))
	if err != nil {
		return err
	}
	return s.Await("ready")
}

// Mode is what the client does.
type Mode string

// The client's modes.
const (
	// Connect opens one connection after another, with one request on each.
	Connect Mode = "connect"
	// Request sends one request after another on one connection.
	Request Mode = "request"
	// Rate sends requests on many connections as fast as answers come.
	Rate Mode = "rate"
)

// Result is what one run of the client measured; times are in microseconds.
type Result struct {
	// N counts requests; in mode Connect also connections.
	N       int     `json:"n"`
	Seconds float64 `json:"seconds"`
	// ConnectP50 and ConnectP99 are times of connect() alone.
	ConnectP50 float64 `json:"connectP50,omitempty"`
	ConnectP99 float64 `json:"connectP99,omitempty"`
	// P50 and P99 are times from the request (in mode Connect: from connect())
	// to its whole answer.
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	// CgroupCPU and MachineCPU are CPU microseconds per request: what the cell's
	// processes used, and what the whole machine was busy.
	CgroupCPU  float64 `json:"cgroupCPU"`
	MachineCPU float64 `json:"machineCPU"`
}

// Run lets the client load an address for some time, and accounts for the CPU
// time that it took. Background is what the idle machine uses, in CPUs.
func (p *Programs) Run(c *rig.Cell, mode Mode, ip string, port int, d time.Duration, conns int, background float64) (*Result, error) {
	args := []string{string(mode), ip, strconv.Itoa(port), strconv.FormatInt(d.Milliseconds(), 10)}
	if mode == Rate {
		args = append(args, strconv.Itoa(conns))
	}
	client, err := c.Start(c.Client, "pods", p.client, args...)
	if err != nil {
		return nil, err
	}
	defer client.Stop() //nolint:errcheck // it has ended, unless an error is under way
	cpu, err := measured(c, client)
	if err != nil {
		return nil, err
	}
	if err := client.Say("report"); err != nil {
		return nil, err
	}
	line, err := client.Line()
	if err != nil {
		return nil, err
	}
	var result Result
	if err := json.Unmarshal([]byte(line), &result); err != nil {
		return nil, fmt.Errorf("read the client's result %q: %w", line, err)
	}
	n := float64(max(result.N, 1))
	result.CgroupCPU = float64(cpu.cgroup.Microseconds()) / n
	result.MachineCPU = (float64(cpu.machine.Microseconds()) - background*float64(cpu.elapsed.Microseconds())) / n
	return &result, client.Finish()
}

// cpuTime is CPU time used while some time elapsed.
type cpuTime struct{ cgroup, machine, elapsed time.Duration }

// measured lets a client that is ready run, and returns the CPU time used.
func measured(c *rig.Cell, client *rig.Process) (*cpuTime, error) {
	if err := client.Await("ready"); err != nil {
		return nil, err
	}
	before, err := counters(c)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := client.Say("go"); err != nil {
		return nil, err
	}
	if err := client.Await("done"); err != nil {
		return nil, err
	}
	after, err := counters(c)
	if err != nil {
		return nil, err
	}
	return &cpuTime{after.cgroup - before.cgroup, after.machine - before.machine, time.Since(begin)}, nil
}

// counters reads the CPU time used so far.
func counters(c *rig.Cell) (*cpuTime, error) {
	machine, err := rig.MachineBusy()
	if err != nil {
		return nil, err
	}
	group, err := rig.CgroupCPU(c.Cgroup)
	return &cpuTime{cgroup: group, machine: machine}, err
}
