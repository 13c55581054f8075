package netns

import (
	"context"
	"net/http"
	"testing"
	"time"

	"sluice.io/sluice/test/apps/echo"
	"sluice.io/sluice/test/netns/lab"
)

// TestWebSocket proves that WebSockets pass Envoy and the kernel, and are routed
// by path and header like all requests.
func TestWebSocket(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front", "chat", "beta")
	c := s.client("client")
	s.apply("route", httpRoute("sockets", "front", `
  - matches: [{path: {value: /chat}}]
    backendRefs: [{name: chat, port: 80}]
  - matches: [{path: {value: /chat}, headers: [{name: version, value: beta}]}]
    backendRefs: [{name: beta, port: 80}]
`))
	s.settle()
	families(t, func(t *testing.T, family int) {
		for _, tc := range []struct {
			url, version, want string
		}{
			{"ws://front/chat", "", "chat"}, {"ws://front/chat", "beta", "beta"}, {"ws://chat/direct", "", "chat"},
		} {
			h := http.Header{}
			if tc.version != "" {
				h.Set("Version", tc.version)
			}
			w := c.webSocket(t, family, tc.url, h)
			if w.Seen.Name != tc.want {
				t.Errorf("%s, version %q reached %s, want %s", tc.url, tc.version, w.Seen.Name, tc.want)
			}
			for _, text := range []string{"one", "two", "three"} {
				say(t, w, text)
			}
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestWebSocketProtocols proves that WebSockets pass Envoy whether the service
// says so by its appProtocol or says nothing.
func TestWebSocketProtocols(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("other")
	pod := s.server("server")
	apps := map[string]string{"auto": "", "http": "http", "ws": "kubernetes.io/ws"}
	for name, app := range apps {
		s.declare(&lab.Service{
			Namespace: s.ns, Name: name, VIP: s.VIP(), Endpoints: s.services["other"].Endpoints,
			Ports: []lab.Port{{Port: 80, Target: 8080, AppProtocol: app}},
		})
		s.declare(&lab.Service{
			Namespace: s.ns, Name: "to-" + name, VIP: s.VIP(), Endpoints: []*lab.Pod{pod},
			Ports: []lab.Port{{Port: 80, Target: 8080, AppProtocol: app}},
		})
		s.apply("route-"+name, httpRoute("to-"+name, name, "  - backendRefs: [{name: to-"+name+", port: 80}]\n"))
	}
	c := s.client("client")
	s.settle()
	families(t, func(t *testing.T, family int) {
		for name := range apps {
			w := c.webSocket(t, family, "ws://"+name+"/chat", nil)
			if w.Seen.Name != "server" || w.Seen.RemoteIP() != c.Addr(family) {
				t.Errorf("%s: %+v, want server to see %s", name, w.Seen, c.Addr(family))
			}
			say(t, w, "hello")
		}
	})
}

// TestWebSocketOutlivesTimeouts proves that a route's timeouts are for the
// handshake: a WebSocket that stands is not ended by them.
func TestWebSocketOutlivesTimeouts(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front")
	c := s.client("client")
	const timeout = time.Second
	s.apply("route", httpRoute("sockets", "front", `
  - timeouts: {request: 1s, backendRequest: 1s}
    backendRefs: [{name: front, port: 80}]
`))
	s.settle()
	families(t, func(t *testing.T, family int) {
		if got := c.getName(family, request{To: "http://front/delay/30s"}); got != "504" {
			t.Fatalf("the timeout is not in force: %s", got)
		}
		// On a busy machine the handshake itself may meet the timeout.
		var w *echo.WebSocket
		s.eventually("the handshake", func() (err error) {
			w, err = c.tryWebSocket(family, "ws://front/chat", nil)
			return err
		})
		t.Cleanup(func() { _ = w.Close() })
		say(t, w, "at the start")
		// The time that passes is what is tested: without a word, longer than the
		// timeout, and then with many.
		quiet := time.NewTimer(2 * timeout)
		defer quiet.Stop()
		<-quiet.C
		for end := time.Now().Add(timeout); time.Now().Before(end); {
			say(t, w, "still here")
		}
	})
}

// webSocket opens a WebSocket that ends with the test.
func (c *client) webSocket(t *testing.T, family int, url string, h http.Header) *echo.WebSocket {
	t.Helper()
	w, err := c.tryWebSocket(family, url, h)
	if err != nil {
		t.Fatalf("%s over IPv%d: %v", url, family, err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func (c *client) tryWebSocket(family int, url string, h http.Header) (*echo.WebSocket, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return echo.DialWebSocket(ctx, c.http[clientKey(family, false)], url, h)
}

// say wants a message to come back.
func say(t *testing.T, w *echo.WebSocket, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if got, err := w.Say(ctx, text); err != nil || got != text {
		t.Fatalf("said %q, heard %q, %v", text, got, err)
	}
}
