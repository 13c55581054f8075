package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"

	"sluice.io/sluice/test/apps/echo"
)

// result is what the http, grpc and ws roles print for each request, one JSON
// object a line.
type result struct {
	Status  int         `json:"status,omitempty"`
	Headers http.Header `json:"headers,omitempty"`
	Seen    *echo.Seen  `json:"seen,omitempty"`
	Err     string      `json:"err,omitempty"`
}

// headers collects repeated -H name:value flags.
type headers http.Header

// String implements flag.Value.
func (h headers) String() string { return fmt.Sprint(http.Header(h)) }

// Set implements flag.Value.
func (h headers) Set(s string) error {
	name, value, ok := strings.Cut(s, ":")
	if !ok {
		return fmt.Errorf("%q: want name:value", s)
	}
	http.Header(h).Add(name, strings.TrimSpace(value))
	return nil
}

// call is what the client roles have in common: where to, and how often.
type call struct {
	dial    string
	n       int
	timeout time.Duration
	headers headers
}

func (c *call) flags(fs *flag.FlagSet) {
	c.headers = headers{}
	fs.StringVar(&c.dial, "dial", "", "IP:port to connect to whatever the target's host says")
	fs.IntVar(&c.n, "n", 1, "how many requests")
	fs.DurationVar(&c.timeout, "timeout", 10*time.Second, "time for each request")
	fs.Var(&c.headers, "H", "header, name:value; may repeat")
}

func (c *call) dialer() echo.DialFunc {
	d := &net.Dialer{}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if c.dial != "" {
			addr = c.dial
		}
		return d.DialContext(ctx, network, addr)
	}
}

// each runs one request n times and prints each result.
func (c *call) each(ctx context.Context, one func(context.Context) result) error {
	out := json.NewEncoder(os.Stdout)
	for range c.n {
		rctx, cancel := context.WithTimeout(ctx, c.timeout)
		r := one(rctx)
		cancel()
		if err := out.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

func parse(name string, args []string, c *call, more func(*flag.FlagSet)) (string, error) {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	c.flags(fs)
	more(fs)
	if err := fs.Parse(args); err != nil {
		return "", err
	}
	if fs.NArg() != 1 {
		return "", fmt.Errorf("usage: testapp %s [flags] TARGET", name)
	}
	return fs.Arg(0), nil
}

// httpRole makes HTTP requests to a URL.
func httpRole(ctx context.Context, args []string) error {
	var c call
	var method string
	var h2c, reuse bool
	url, err := parse("http", args, &c, func(fs *flag.FlagSet) {
		fs.StringVar(&method, "method", http.MethodGet, "method")
		fs.BoolVar(&h2c, "h2c", false, "HTTP/2 with prior knowledge")
		fs.BoolVar(&reuse, "reuse", false, "make all requests on one connection")
	})
	if err != nil {
		return err
	}
	client := echo.NewHTTPClient(c.dialer(), h2c)
	return c.each(ctx, func(ctx context.Context) result {
		if !reuse {
			defer client.CloseIdleConnections()
		}
		return request(ctx, client, method, url, http.Header(c.headers))
	})
}

func request(ctx context.Context, client *http.Client, method, url string, h http.Header) result {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return result{Err: err.Error()}
	}
	req.Header = h.Clone()
	if host := h.Get("Host"); host != "" {
		req.Host = host
	}
	resp, err := client.Do(req)
	if err != nil {
		return result{Err: err.Error()}
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return result{Err: err.Error()}
	}
	seen, _ := echo.ParseSeen(b) // Answers of others than an echo server have none.
	return result{Status: resp.StatusCode, Headers: resp.Header, Seen: seen}
}

// grpcRole makes unary gRPC calls to host:port.
func grpcRole(ctx context.Context, args []string) error {
	var c call
	var method string
	target, err := parse("grpc", args, &c, func(fs *flag.FlagSet) {
		fs.StringVar(&method, "method", echo.GRPCService+"/Get", "service/method")
	})
	if err != nil {
		return err
	}
	client, err := echo.DialGRPC(c.dialer(), target)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	for name, values := range c.headers {
		for _, v := range values {
			ctx = metadata.AppendToOutgoingContext(ctx, strings.ToLower(name), v)
		}
	}
	return c.each(ctx, func(ctx context.Context) result {
		seen, err := client.Call(ctx, method, "hello")
		if err != nil {
			return result{Err: err.Error()}
		}
		return result{Seen: seen}
	})
}

// wsRole opens WebSockets to a ws:// URL and exchanges a message on each.
func wsRole(ctx context.Context, args []string) error {
	var c call
	url, err := parse("ws", args, &c, func(*flag.FlagSet) {})
	if err != nil {
		return err
	}
	client := echo.NewHTTPClient(c.dialer(), false)
	return c.each(ctx, func(ctx context.Context) result {
		w, err := echo.DialWebSocket(ctx, client, url, http.Header(c.headers))
		if err != nil {
			return result{Err: err.Error()}
		}
		defer func() { _ = w.Close() }()
		if got, err := w.Say(ctx, "hello"); err != nil || got != "hello" {
			return result{Err: fmt.Sprintf("echo %q: %v", got, err)}
		}
		return result{Seen: w.Seen}
	})
}
