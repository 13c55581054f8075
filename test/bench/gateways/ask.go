package gateways

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// usualPatience is how long a client waits for an answer.
const usualPatience = 5 * time.Second

// dialer is where a client is: a place of the cluster.
type dialer interface {
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
}

// connection is a client's kept connection. It is net/http's client no more than
// for parsing: that one asks again by itself when a connection is lost.
type connection struct {
	from     dialer
	to       netip.AddrPort
	patience time.Duration // usualPatience when zero
	conn     net.Conn
	in       *bufio.Reader
}

// answer is what we look at of a response.
type answer struct {
	code int
	mark string
}

// good tells that the answer is not about trouble behind the Gateway.
func (a answer) good() bool { return a.code < http.StatusInternalServerError }

// ask asks for the root of a host. After an error, the next call connects anew.
func (c *connection) ask(ctx context.Context, host string) (answer, error) {
	a, err := c.try(ctx, host)
	if err != nil {
		c.close()
		err = fmt.Errorf("ask %s at %s: %w", host, c.to, err)
	}
	return a, err
}

func (c *connection) try(ctx context.Context, host string) (answer, error) {
	patience := cmp.Or(c.patience, usualPatience)
	if c.conn == nil {
		dial, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		conn, err := c.from.DialContext(dial, "tcp", c.to.String())
		if err != nil {
			return answer{}, err
		}
		c.conn, c.in = conn, bufio.NewReader(conn)
	}
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return answer{}, err
	}
	if _, err := io.WriteString(c.conn, "GET / HTTP/1.1\r\nhost: "+host+"\r\n\r\n"); err != nil {
		return answer{}, err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return answer{}, err
	}
	if resp.Close { // Announced: no failure.
		c.close()
	}
	return answer{resp.StatusCode, resp.Header.Get(markHeader)}, nil
}

func (c *connection) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// sight is when a watcher saw what it looked for.
type sight struct {
	at       time.Time
	failures int
	example  string // of a failure, the first
	err      error
}

// watch asks for a host until an answer is as wanted, once per interval, and
// tells the result on the channel.
func (c *connection) watch(ctx context.Context, host string, interval time.Duration, want func(answer) bool) <-chan sight {
	seen := make(chan sight, 1)
	go func() {
		var s sight
		for {
			a, err := c.ask(ctx, host)
			switch {
			case err == nil && want(a):
				s.at = time.Now()
				seen <- s
				return
			case ctx.Err() != nil:
				s.err = fmt.Errorf("%s was not served as wanted (last answer %d, mark %q, error %v): %w", host, a.code, a.mark, err, ctx.Err()) //nolint:errorlint // the context's error is what tells
				seen <- s
				return
			case err != nil || !a.good():
				if s.failures++; s.example == "" {
					s.example = fmt.Sprintf("answer %d, error %v", a.code, err)
				}
			}
			time.Sleep(interval)
		}
	}()
	return seen
}

// marked wants an answer with a mark.
func marked(mark string) func(answer) bool {
	return func(a answer) bool { return a.code == http.StatusOK && a.mark == mark }
}

// gone wants a host that nobody serves.
func gone(a answer) bool { return a.code == http.StatusNotFound }
