package envoy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// stop ends the Envoys that run from the folder, and removes what they leave. Their
// connections have some time to end. It does neither when somebody else is to have
// Envoy before.
func (c Config) stop(t *turn, grace time.Duration, claimed func() bool) error {
	for ; ; grace = 0 {
		p, err := c.find()
		if err != nil {
			return err
		}
		if p == nil {
			break
		}
		if grace > 0 && !c.drain(p, grace, claimed) {
			p.close()
			return nil
		}
		// One that does not go would be found again for ever.
		if err := c.end(p); err != nil {
			return err
		}
	}
	return c.removeTraces(t)
}

func (c Config) removeTraces(t *turn) error {
	var errs []error
	if err := os.Remove(c.sharedMemory()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, fmt.Errorf("remove the memory that Envoys shared: %w", err))
	}
	if err := os.RemoveAll(c.Dir); err != nil {
		errs = append(errs, fmt.Errorf("remove Envoy's folder: %w", err))
	}
	if t != nil {
		errs = append(errs, t.remove())
	}
	return errors.Join(errs...)
}

// end ends a process.
func (c Config) end(p *process) error {
	defer p.reap()
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

// drain waits until a process has no connection left whose end would be noticed,
// for some time at most. It takes new ones all the while, and tells the clients
// of HTTP to make theirs elsewhere. False means that somebody else is to have it.
func (c Config) drain(p *process, grace time.Duration, claimed func() bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if _, err := c.admin(ctx, http.MethodPost, "/drain_listeners?graceful&skip_exit"); err != nil {
		c.Log.Warn("Envoy does not drain; it is ended at once", "error", err)
		return true
	}
	left := -1
	for ctx.Err() == nil && !p.exited(step) {
		if claimed() {
			return false
		}
		n, err := c.active(ctx)
		if err != nil {
			continue
		}
		if left = n; n == 0 {
			return true
		}
	}
	if ctx.Err() != nil && left != 0 {
		c.Log.Warn("Envoy is stopped with connections that have not ended", "after", grace, "requests and connections", left)
	}
	return true
}

// inFlight are the statistics by which [Config.active] knows what a stop of Envoy
// cuts off.
const inFlight = `^(http\.(mesh|gateway)\.downstream_(rq|cx)_active|listener\.(vip|gateway)\.downstream_cx_active|udp\.gateway\.downstream_sess_active)$`

// active counts what a stop would cut off: requests, and with them connections
// that were upgraded; flows of datagrams; and the connections that are not HTTP,
// of which Envoy has no count of its own: all less those that are.
func (c Config) active(ctx context.Context) (int, error) {
	said, err := c.admin(ctx, http.MethodGet, "/stats?filter="+url.QueryEscape(inFlight))
	if err != nil {
		return 0, err
	}
	sum, plain := 0, 0
	for line := range strings.Lines(said) {
		name, value, found := strings.Cut(strings.TrimSpace(line), ": ")
		n, err := strconv.Atoi(value)
		if !found || err != nil {
			return 0, fmt.Errorf("count what is in flight: Envoy says %q", line)
		}
		switch {
		case strings.HasPrefix(name, "listener."):
			plain += n
		case strings.HasSuffix(name, "_cx_active"):
			plain -= n
		default:
			sum += n
		}
	}
	return sum + max(0, plain), nil
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
