package gateways

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestObjectsAreJSON(t *testing.T) {
	c := Case{Gateways: 3, Routes: 7}
	for _, text := range []string{
		c.gatewayObject(2, "x"), Case{Gateways: 1}.gatewayObject(0, "x"), serviceObject("r1"),
		sliceObject("r1", []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")}),
		routeObject("r1", 2, "r1", "m"), changed("r1", "m"),
	} {
		var object map[string]any
		if err := json.Unmarshal([]byte(text), &object); err != nil {
			t.Errorf("%v in\n%s", err, text)
		}
	}
	// A route's host is one that the listener of its Gateway has.
	if host, gateway := c.hostOf(5), c.gatewayObject(2, "x"); host != "r5.g2.bench.example" || !strings.Contains(gateway, `"*.g2.bench.example"`) {
		t.Errorf("route 5 has host %s, its Gateway is\n%s", host, gateway)
	}
}

// serve starts a server, and tells where.
func serve(t *testing.T, f http.HandlerFunc) netip.AddrPort {
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String())
}

func TestWatchSeesTheMarkAndCountsFailures(t *testing.T) {
	asked := 0
	to := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		switch {
		case r.Host != "a.example" || asked == 1:
			w.WriteHeader(http.StatusNotFound)
		case asked == 2:
			w.WriteHeader(http.StatusServiceUnavailable)
		case asked == 3:
			panic(http.ErrAbortHandler) // the connection ends without an answer
		default:
			w.Header().Set(markHeader, map[bool]string{true: "new", false: "old"}[asked > 4])
		}
	})
	c := &connection{from: &net.Dialer{}, to: to}
	defer c.close()
	s := <-c.watch(t.Context(), "a.example", time.Millisecond, marked("new"))
	if s.err != nil || s.failures != 2 || asked != 5 {
		t.Errorf("%+v after %d requests, want 2 failures and the mark at the fifth", s, asked)
	}
}

func TestWatchTellsWhatItSawLast(t *testing.T) {
	to := serve(t, func(http.ResponseWriter, *http.Request) {})
	c := &connection{from: &net.Dialer{}, to: to}
	defer c.close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if s := <-c.watch(ctx, "a.example", time.Millisecond, gone); s.err == nil || !strings.Contains(s.err.Error(), "200") {
		t.Errorf("error is %v, want one that tells the last answer", s.err)
	}
}

func TestSteadyClientsCountEveryFailure(t *testing.T) {
	var asked, failed atomic.Int64
	enough := make(chan struct{})
	to := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		switch n := asked.Add(1); {
		case n == 7:
			failed.Add(1)
			w.WriteHeader(http.StatusBadGateway)
		case n == 9:
			failed.Add(1)
			panic(http.ErrAbortHandler)
		case n == 40:
			close(enough)
		}
	})
	s := startSteady(t.Context(), &net.Dialer{}, to, "a.example")
	<-enough
	got := s.stop()
	if got.Failures != int(failed.Load()) || got.Failures != 2 || len(got.Examples) != 2 {
		t.Errorf("%+v, want 2 failures", got)
	}
	if got.Requests < 30 {
		t.Errorf("%d requests counted of %d", got.Requests, asked.Load())
	}
}

func TestUsage(t *testing.T) {
	u := usage{Agent: 3, Envoy: 1}.less(usage{Agent: 1}, 2).times(.5)
	if u[Agent] != .5 || u[Envoy] != .5 || u.sum() != 1 {
		t.Errorf("%v", u)
	}
}
