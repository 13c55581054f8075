package envoy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// stopGrace is how long requests in flight have at most when Envoy is stopped.
const stopGrace = 10 * time.Second

// Stop ends the Envoys that run from the folder, and removes the folder and the
// memory that they shared. They take no new connections from the start; requests in flight have the drain time
// to end, but ten seconds at most.
func Stop(cfg Config) error {
	c := cfg.withDefaults()
	for grace := min(c.DrainTime, stopGrace); ; grace = 0 {
		p, err := c.find()
		if err != nil {
			return err
		}
		if p == nil {
			break
		}
		// One that does not go would be found again for ever.
		if err := c.end(p, grace); err != nil {
			return err
		}
	}
	var first error
	if err := os.Remove(c.sharedMemory()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		first = errors.Join(first, fmt.Errorf("remove the memory that Envoys shared: %w", err))
	}
	if err := os.RemoveAll(c.Dir); err != nil {
		first = errors.Join(first, fmt.Errorf("remove Envoy's folder: %w", err))
	}
	return first
}

// end drains a process for some time at most, and ends it.
func (c Config) end(p *process, grace time.Duration) error {
	defer p.reap()
	if grace > 0 {
		c.drain(p, grace)
	}
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		if err := p.signal(sig); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("end Envoy (pid %d): %w", p.PID, err)
		}
		if p.exited(5 * time.Second) {
			return nil
		}
	}
	return fmt.Errorf("end Envoy (pid %d): it does not go", p.PID)
}

func (c Config) drain(p *process, grace time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if _, err := c.admin(ctx, http.MethodPost, "/drain_listeners?graceful&skip_exit"); err != nil {
		c.Log.Warn("Envoy does not drain; it is ended at once", "error", err)
		return
	}
	for ctx.Err() == nil && !p.exited(step) {
		active, err := c.admin(ctx, http.MethodGet, "/stats?filter=^http.mesh.downstream_rq_active$")
		if err == nil && (active == "" || active == "http.mesh.downstream_rq_active: 0\n") {
			return
		}
	}
}

// epoch asks the Envoy that answers on the admin socket which epoch it is; -1
// when none answers.
func (c Config) epoch(ctx context.Context) int {
	body, err := c.admin(ctx, http.MethodGet, "/server_info")
	if err != nil {
		return -1
	}
	var info struct {
		Options struct {
			RestartEpoch int `json:"restart_epoch"`
		} `json:"command_line_options"`
	}
	if err := json.Unmarshal([]byte(body), &info); err != nil {
		return -1
	}
	return info.Options.RestartEpoch
}
