package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// server is one test server with all the protocols that it was asked for.
type server struct {
	name   string
	protos string
	// slow is the time that HTTP answers take.
	slow time.Duration
	// counts counts requests by the key that they carry; see counters.
	counts counters
	// cert and key are files, for TLS.
	cert, key string
}

// part is one listening protocol: serve blocks until stop is called.
type part struct {
	serve func() error
	stop  func()
}

func serve(ctx context.Context, args []string) error {
	s := &server{}
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	fs.StringVar(&s.name, "name", "server", "the name that the server reports")
	fs.StringVar(&s.protos, "protos", "h1,h2c", "HTTP versions: h1, h2c")
	fs.DurationVar(&s.slow, "slow", 0, "answer HTTP requests after that time")
	httpAddrs := fs.String("http", "", "comma-separated addresses for HTTP and WebSocket")
	httpsAddrs := fs.String("https", "", "comma-separated addresses for HTTP over TLS")
	fs.StringVar(&s.cert, "cert", "", "certificate for TLS, a file of PEM")
	fs.StringVar(&s.key, "key", "", "its private key")
	grpcAddrs := fs.String("grpc", "", "comma-separated addresses for gRPC")
	tcpAddrs := fs.String("tcp", "", "comma-separated addresses for TCP echo")
	udpAddrs := fs.String("udp", "", "comma-separated addresses for UDP echo")
	if err := fs.Parse(args); err != nil {
		return err
	}
	var parts []part
	for _, p := range []struct {
		addrs string
		open  func(addr string) (part, error)
	}{
		{*httpAddrs, s.http}, {*httpsAddrs, s.https}, {*grpcAddrs, s.grpc}, {*tcpAddrs, s.tcp}, {*udpAddrs, s.udp},
	} {
		for addr := range strings.SplitSeq(p.addrs, ",") {
			if addr == "" {
				continue
			}
			opened, err := p.open(addr)
			if err != nil {
				return fmt.Errorf("listen on %s: %w", addr, err)
			}
			parts = append(parts, opened)
		}
	}
	fmt.Println("ready")
	return serveParts(ctx, parts)
}

// serveParts serves until ctx is done or one part fails.
func serveParts(ctx context.Context, parts []part) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, p := range parts {
		wg.Go(func() { cancel(p.serve()) })
	}
	<-ctx.Done()
	for _, p := range parts {
		p.stop()
	}
	wg.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// counters counts by key, for tests that ask what a server has seen.
type counters struct {
	mu sync.Mutex
	n  map[string]int
}

// next counts one more under key and returns how many there were before.
func (c *counters) next(key string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	n := c.n[key]
	c.n[key]++
	return n
}

// get returns the count under key.
func (c *counters) get(key string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[key]
}
