package gateways

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

const (
	// steadyClients ask once per steadyPause each; each steadyFresh-th request of one
	// goes over a new connection.
	steadyClients = 4
	steadyPause   = 20 * time.Millisecond
	steadyFresh   = 10
	// examples is how many failures are told.
	examples = 5
)

// steady are clients that ask for a host all the time.
type steady struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
	mu     sync.Mutex
	count  Requests
}

// startSteady starts the clients; stop must follow.
func startSteady(ctx context.Context, from dialer, to netip.AddrPort, host string) *steady {
	ctx, cancel := context.WithCancel(ctx)
	s := &steady{cancel: cancel}
	for range steadyClients {
		s.done.Go(func() { s.run(ctx, &connection{from: from, to: to}, host) })
	}
	return s
}

func (s *steady) run(ctx context.Context, c *connection, host string) {
	defer c.close()
	tick := time.NewTicker(steadyPause)
	defer tick.Stop()
	for i := 1; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if i%steadyFresh == 0 {
			c.close()
		}
		a, err := c.ask(ctx, host)
		if ctx.Err() != nil {
			return // what was under way may have been cut off by us
		}
		if err == nil && a.code != http.StatusOK {
			err = fmt.Errorf("answer %d", a.code)
		}
		s.add(err)
	}
}

func (s *steady) add(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count.Requests++
	if err == nil {
		return
	}
	s.count.Failures++
	if len(s.count.Examples) < examples {
		s.count.Examples = append(s.count.Examples, time.Now().UTC().Format("15:04:05.000 ")+err.Error())
	}
}

// stop ends the clients, and returns what they counted.
func (s *steady) stop() *Requests {
	s.cancel()
	s.done.Wait()
	return &s.count
}
