package lab

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Start starts `sluice run` on the node and waits until it is ready.
func (n *Node) Start(ctx context.Context) error {
	if err := n.Launch(); err != nil {
		return err
	}
	return n.WaitReady(ctx)
}

// Launch starts `sluice run` on the node without waiting for it.
func (n *Node) Launch() error {
	envoy := []string{"--envoy", n.Programs.Envoy, "--envoy-concurrency", strconv.Itoa(cmp.Or(n.EnvoyWorkers, 2))}
	if n.EnvoyApart {
		envoy = []string{"--without-envoy"}
	}
	p, err := n.system().spawn([]string{"GORACE=halt_on_error=0"}, n.logFile(), slices.Concat([]string{
		n.Programs.Sluice, "run", "-f", n.Folder.Dir, "--log-level", "debug",
	}, envoy, n.places()))
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sluice = p
	return nil
}

// WaitReady waits until sluice says that it is ready.
func (n *Node) WaitReady(ctx context.Context) error {
	err := Poll(60*time.Second, func() error {
		select {
		case <-n.Sluice().Done():
			return Permanent(errors.New("sluice run ended"))
		default:
		}
		_, err := n.CLI(ctx, "status", "--run-dir", n.RunDir, "--wait", "5s")
		return err
	})
	if err != nil {
		return fmt.Errorf("sluice is not ready: %w\n%s", err, n.LogTail(40))
	}
	return nil
}

// Sluice is the running, or last, `sluice run`.
func (n *Node) Sluice() *Process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sluice
}

// Stop ends `sluice run` with SIGTERM.
func (n *Node) Stop() error { return n.Sluice().Signal(syscall.SIGTERM, 20*time.Second) }

// Uninstall runs `sluice uninstall`; flags come after the node's own, and win.
func (n *Node) Uninstall(ctx context.Context, flags ...string) (string, error) {
	return n.CLI(ctx, slices.Concat([]string{"uninstall"}, n.places(), flags)...)
}

// places are the flags that tell sluice which folders and cgroup are its own.
func (n *Node) places() []string {
	flags := []string{"--run-dir", n.RunDir, "--state-dir", n.StateDir, "--bpffs", n.BPFFS}
	if n.machine == "" {
		flags = append(flags, "--cgroup-root", n.CgroupRoot)
	}
	return flags
}

// CLI runs sluice with arguments on the node, and returns its standard output.
func (n *Node) CLI(ctx context.Context, args ...string) (string, error) {
	return n.system().run(ctx, "", append([]string{n.Programs.CLI}, args...))
}

// Ask runs a sluice command that asks the running one, with -o json, and decodes
// its answer. A command that fails but answers is no error: `sluice status`
// answers before it is ready.
func (n *Node) Ask(ctx context.Context, into any, args ...string) error {
	out, err := n.CLI(ctx, append(args, "--run-dir", n.RunDir, "-o", "json")...)
	if jsonErr := json.Unmarshal([]byte(out), into); jsonErr != nil {
		return errors.Join(err, fmt.Errorf("sluice %s printed no JSON: %w: %q", strings.Join(args, " "), jsonErr, out))
	}
	return nil
}

func (n *Node) logFile() string { return filepath.Join(n.dir, "sluice.log") }

// Log is all that sluice has printed.
func (n *Node) Log() string {
	b, err := os.ReadFile(n.logFile())
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// LogTail is the last lines of what sluice has printed.
func (n *Node) LogTail(lines int) string {
	all := strings.Split(strings.TrimSpace(n.Log()), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// EnvoyCgroup is the cgroup in which sluice runs Envoy.
func (n *Node) EnvoyCgroup() string {
	return filepath.Join(cmp.Or(n.machine, n.CgroupRoot), "sluice", "envoy")
}

// Run runs a program beside sluice, in the node's network namespace, to its end.
func (n *Node) Run(ctx context.Context, args ...string) (string, error) {
	return n.system().run(ctx, "", args)
}

// EnvoyPIDs lists the processes in Envoy's cgroup.
func (n *Node) EnvoyPIDs() ([]int, error) {
	b, err := os.ReadFile(filepath.Join(n.EnvoyCgroup(), "cgroup.procs"))
	if err != nil {
		return nil, err
	}
	var pids []int
	for f := range bytes.FieldsSeq(b) {
		pid, err := strconv.Atoi(string(f))
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// KillEnvoy sends SIGKILL to Envoy and waits until it is gone.
func (n *Node) KillEnvoy() error {
	pids, err := n.EnvoyPIDs()
	if err != nil {
		return err
	}
	if len(pids) == 0 {
		return errors.New("no Envoy runs")
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			return fmt.Errorf("kill Envoy: %w", err)
		}
	}
	return Poll(10*time.Second, func() error {
		now, err := n.EnvoyPIDs()
		if err != nil {
			return Permanent(err)
		}
		for _, pid := range now {
			if pid == pids[0] {
				return fmt.Errorf("process %d, an Envoy, still runs", pid)
			}
		}
		return nil
	})
}

// EnvoyAdmin asks Envoy's admin interface.
func (n *Node) EnvoyAdmin(ctx context.Context, path string) ([]byte, error) {
	socket := filepath.Join(n.RunDir, "envoy", "admin.sock")
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://envoy"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("ask Envoy's admin: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("ask Envoy's admin for %s: %s: %s", path, resp.Status, b)
	}
	return b, err
}

// EnvoyStats returns Envoy's counters and gauges.
func (n *Node) EnvoyStats(ctx context.Context) (map[string]int64, error) {
	b, err := n.EnvoyAdmin(ctx, "/stats")
	if err != nil {
		return nil, err
	}
	stats := map[string]int64{}
	for line := range strings.Lines(string(b)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if v, err := strconv.ParseInt(value, 10, 64); ok && err == nil {
			stats[name] = v
		}
	}
	return stats, nil
}
