package install_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"sluice.io/sluice/test/cluster"
)

// steadyPause is what a steady client waits after each request, unless it is told
// to leave the machine to others.
const steadyPause = 2 * time.Millisecond

// steady are clients that ask a Gateway all the time, at each of its addresses:
// over a new connection for each request, and over one that they keep.
type steady struct {
	stop  func()
	pause time.Duration

	mu          sync.Mutex
	fresh, kept met
}

// met is what clients of a kind have met.
type met struct {
	requests, connections int
	errs                  []error
}

// steady starts so many clients of each kind for each address.
func (w *world) steady(t *testing.T, clients int, pause time.Duration) *steady {
	s := &steady{pause: pause}
	ctx, cancel := context.WithCancel(w.ctx)
	var running sync.WaitGroup
	for _, addr := range w.addresses {
		for range clients {
			to := net.JoinHostPort(addr, "80")
			running.Go(func() { s.ask(ctx, &client{from: w.cluster.Control(), to: to}, &s.fresh) })
			running.Go(func() { s.ask(ctx, &client{from: w.cluster.Control(), to: to, keep: true}, &s.kept) })
		}
	}
	s.stop = func() { cancel(); running.Wait() }
	t.Cleanup(s.stop)
	return s
}

// ask has a client ask until it is told to stop; the last request is awaited.
func (s *steady) ask(ctx context.Context, c *client, m *met) {
	defer c.close()
	for ctx.Err() == nil {
		err := c.get("/")
		s.mu.Lock()
		m.requests++
		m.connections += c.takeConnections()
		if err != nil {
			m.errs = append(m.errs, fmt.Errorf("%s %s: %w", time.Now().Format("15:04:05.000"), c.to, err))
		}
		s.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(s.pause):
		}
	}
}

// told is what they have met so far.
func (s *steady) told() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("%d requests over connections of their own, %d failed; %d requests over %d kept connections, %d failed",
		s.fresh.requests, len(s.fresh.errs), s.kept.requests, s.kept.connections, len(s.kept.errs))
}

// expectNoFailure stops the clients and looks at what they met.
func (s *steady) expectNoFailure(t *testing.T) {
	t.Helper()
	s.stop()
	t.Log(s.told())
	for kind, m := range map[string]met{"new": s.fresh, "kept": s.kept} {
		if m.requests < 10 || len(m.errs) > 0 {
			t.Errorf("%d of %d requests over %s connections failed:\n%v", len(m.errs), m.requests, kind, errors.Join(m.errs[:min(10, len(m.errs))]...))
		}
	}
}

// client is an HTTP client that hides nothing: it never asks again by itself, as
// the standard library's does when a kept connection has gone.
type client struct {
	from cluster.Place
	to   string
	keep bool

	conn        net.Conn
	r           *bufio.Reader
	connections int
}

// get asks for a path, and wants it served.
func (c *client) get(path string) error {
	resp, err := c.do(path)
	if err != nil {
		c.close()
		return err
	}
	if resp.Close || !c.keep {
		c.close()
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", resp.Status)
	}
	return nil
}

func (c *client) do(path string) (*http.Response, error) {
	if c.conn == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		conn, err := c.from.DialContext(ctx, "tcp", c.to)
		if err != nil {
			return nil, err
		}
		c.conn, c.r = conn, bufio.NewReader(conn)
		c.connections++
	}
	if err := c.conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(c.conn, "GET %s HTTP/1.1\r\nHost: steady.example\r\n\r\n", path); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp, err
}

func (c *client) takeConnections() int {
	n := c.connections
	c.connections = 0
	return n
}

func (c *client) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}
