package product

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"sluice.io/sluice/test/bench/rig"
)

// RunEnvoy starts an Envoy with one worker and a static configuration in a network
// namespace of a cell, and waits until it serves. The configuration's admin part
// is added here.
func (b *Binaries) RunEnvoy(c *rig.Cell, ns, name string, config map[string]any) error {
	socket := filepath.Join(c.Dir, name+".sock")
	config["admin"] = map[string]any{"address": map[string]any{"pipe": map[string]any{"path": socket}}}
	text, err := json.MarshalIndent(config, "", " ")
	if err != nil {
		return fmt.Errorf("write Envoy's configuration: %w", err)
	}
	file := filepath.Join(c.Dir, name+".json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return fmt.Errorf("write Envoy's configuration: %w", err)
	}
	p, err := c.Start(ns, "envoy", b.Envoy, "--config-path", file, "--concurrency", "1", "--disable-hot-restart", "--log-level", "warn")
	if err != nil {
		return err
	}
	p.Drop()
	admin := newAdmin(socket)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if admin.live() {
			return nil
		}
		select {
		case <-p.Done():
			return fmt.Errorf("%s has ended: %s", name, p.Log())
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not ready: %s", name, p.Log())
		}
	}
}

// Admin is the admin interface of an Envoy.
type Admin struct{ http http.Client }

func newAdmin(socket string) *Admin {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	return &Admin{http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: 30 * time.Second}}
}

func (a *Admin) get(path string) (string, error) {
	resp, err := a.http.Get("http://envoy" + path)
	if err != nil {
		return "", fmt.Errorf("ask Envoy for %s: %w", path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", fmt.Errorf("ask Envoy for %s: %w", path, err)
	}
	return string(body), nil
}

func (a *Admin) live() bool {
	body, err := a.get("/ready")
	return err == nil && strings.HasPrefix(body, "LIVE")
}

// Sum adds up all of Envoy's counters whose name matches a regular expression.
func (a *Admin) Sum(pattern string) (int64, error) {
	body, err := a.get("/stats?filter=" + pattern)
	if err != nil {
		return 0, err
	}
	var sum int64
	for line := range strings.Lines(body) {
		_, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			sum += n
		}
	}
	return sum, nil
}

var lastUpdated = regexp.MustCompile(`"last_updated": "([^"]+)"`)

// Updated counts the listeners, clusters and route configurations that Envoy has
// taken since a time.
func (a *Admin) Updated(since time.Time) (int, error) {
	n := 0
	for _, kind := range []string{"dynamic_listeners", "dynamic_active_clusters", "dynamic_route_configs"} {
		body, err := a.get("/config_dump?resource=" + kind)
		if err != nil {
			return 0, err
		}
		for _, found := range lastUpdated.FindAllStringSubmatch(body, -1) {
			at, err := time.Parse(time.RFC3339Nano, found[1])
			if err != nil {
				return 0, fmt.Errorf("read Envoy's configuration: %w", err)
			}
			if at.After(since) {
				n++
			}
		}
	}
	return n, nil
}
