package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"sluice.io/sluice/test/apps/echo"
)

// The addresses that the YAML gives the services.
const (
	cartVIP   = "10.96.0.10:80"
	ledgerVIP = "10.96.0.20:7000"
)

// tally counts what became of requests.
type tally struct {
	// by counts answers by the server's name.
	by map[string]int
	// paths and clients are what the servers saw.
	paths, clients map[string]bool
}

func (t *tally) String() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(t.by)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, t.by[name]))
	}
	return strings.Join(parts, ", ") + ", none failed"
}

// all tells whether one server answered all of n requests.
func (t *tally) all(n int, server string) bool { return maps.Equal(t.by, map[string]int{server: n}) }

// split tells whether two servers answered n requests between them, the second of
// them with a probability. Of right splits, fewer than one in a million are told wrong.
func (t *tally) split(n int, first, second string, probability float64) bool {
	mean := float64(n) * probability
	far := 5.3 * math.Sqrt(mean*(1-probability))
	return t.by[first]+t.by[second] == n && len(t.by) == 2 && math.Abs(float64(t.by[second])-mean) <= far
}

// only tells whether a set has one member, and which.
func only(set map[string]bool, member string) bool { return len(set) == 1 && set[member] }

// seen lists what is in a set.
func seen(set map[string]bool) string { return strings.Join(slices.Sorted(maps.Keys(set)), ", ") }

// requests makes n HTTP requests from pod web to cart, each on a connection of
// its own. All must be answered by a server.
func (s *stage) requests(ctx context.Context, n int, path string, flags ...string) (*tally, error) {
	args := append([]string{"http", "-n", strconv.Itoa(n), "-dial", cartVIP}, flags...)
	out, err := s.web.Testapp(ctx, append(args, "http://cart"+path)...)
	if err != nil {
		return nil, err
	}
	t := &tally{by: map[string]int{}, paths: map[string]bool{}, clients: map[string]bool{}}
	for line := range strings.Lines(out) {
		var r struct {
			Seen   *echo.Seen `json:"seen"`
			Status int        `json:"status"`
			Err    string     `json:"err"`
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			return nil, err
		}
		if r.Seen == nil || r.Status != http.StatusOK {
			return nil, fmt.Errorf("a request to cart failed: status %d, %s", r.Status, r.Err)
		}
		t.by[r.Seen.Name]++
		t.paths[r.Seen.Path] = true
		t.clients[r.Seen.RemoteIP().String()] = true
	}
	return t, nil
}

// connections opens n TCP connections from pod web to ledger.
func (s *stage) connections(ctx context.Context, n int) ([]echo.SockReport, error) {
	out, err := s.web.Testapp(ctx, append([]string{"tcp"}, slices.Repeat([]string{ledgerVIP}, n)...)...)
	if err != nil {
		return nil, err
	}
	var reports []echo.SockReport
	for line := range strings.Lines(out) {
		var r echo.SockReport
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			return nil, err
		}
		if r.Err != "" {
			return nil, fmt.Errorf("connect to ledger: %s: %s", r.Call, r.Err)
		}
		reports = append(reports, r)
	}
	return reports, nil
}

// fromWeb tells whether n connections reached ledger as they should: from web's
// own address, and with the service's address as the peer that web sees.
func (s *stage) fromWeb(reports []echo.SockReport, n int) bool {
	for _, r := range reports {
		remote, err := netip.ParseAddrPort(r.Remote)
		if err != nil || remote.Addr().Unmap() != s.web.V4 || r.Peername != ledgerVIP || r.Name != s.ledger.Name {
			return false
		}
	}
	return len(reports) == n
}

// envoyConnections is how many connections Envoy has accepted so far.
func (s *stage) envoyConnections(ctx context.Context) (int64, error) {
	stats, err := s.node.EnvoyStats(ctx)
	if err != nil {
		return 0, err
	}
	var n int64
	for name, value := range stats {
		f := strings.Split(name, ".")
		if len(f) == 3 && f[0] == "listener" && f[1] != "admin" && f[2] == "downstream_cx_total" {
			n += value
		}
	}
	return n, nil
}

// kernelConnections is how many connections to ledger the kernel has balanced so far.
func (s *stage) kernelConnections(ctx context.Context) (int64, error) {
	var dump struct {
		Frontends []struct {
			Frontend string `json:"frontend"`
			Count    struct {
				Kernel int64 `json:"kernel"`
			} `json:"count"`
		} `json:"frontends"`
	}
	if err := s.node.Ask(ctx, &dump, "get", "maps"); err != nil {
		return 0, err
	}
	for _, f := range dump.Frontends {
		if f.Frontend == "shop/ledger:7000/TCP" {
			return f.Count.Kernel, nil
		}
	}
	return 0, fmt.Errorf("the kernel knows no ledger")
}
