package load

import (
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"sluice.io/sluice/test/bench/rig"
)

// Watcher asks a service again and again until its answer changes.
type Watcher struct{ client *rig.Process }

// Watch starts a watcher in a cell's client pod.
func (p *Programs) Watch(c *rig.Cell) (*Watcher, error) {
	client, err := c.Start(c.Client, "pods", p.client, "watch")
	if err != nil {
		return nil, err
	}
	return &Watcher{client: client}, nil
}

// Seen tells when an answer changed.
type Seen struct {
	// At is the time since the clock's start, as [Now] returns it.
	At time.Duration `json:"at"`
	// Polls counts the requests before; Failures those without a good answer.
	Polls    int `json:"polls"`
	Failures int `json:"failures"`
}

// Now reads the clock by which [Seen] tells times.
func Now() (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0, fmt.Errorf("read clock: %w", err)
	}
	return time.Duration(t.Nano()), nil
}

// Until has the watcher ask ip:port, a first time before it calls act, and then
// once per interval until an answer has a header line that ends in the needle. It returns the time from
// act's start to that answer.
func (w *Watcher) Until(ip string, port int, needle string, interval time.Duration, act func() error) (time.Duration, *Seen, error) {
	if err := w.client.Say(fmt.Sprintf("%s %d %s %d", ip, port, needle, interval.Microseconds())); err != nil {
		return 0, nil, err
	}
	if err := w.client.Await("watching"); err != nil {
		return 0, nil, err
	}
	start, err := Now()
	if err != nil {
		return 0, nil, err
	}
	if err := act(); err != nil {
		return 0, nil, err
	}
	line, err := w.client.Line()
	if err != nil {
		return 0, nil, err
	}
	var seen Seen
	if err := json.Unmarshal([]byte(line), &seen); err != nil {
		return 0, nil, fmt.Errorf("read the watcher's result %q: %w", line, err)
	}
	return seen.At - start, &seen, nil
}

// Stop ends the watcher.
func (w *Watcher) Stop() error { return w.client.Finish() }
