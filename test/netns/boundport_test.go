package netns

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestBoundSourcePort proves that a client may bind its port first, and that one
// port may serve for connections to two services that the kernel balances, as it
// may without a mesh.
func TestBoundSourcePort(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("one", "two")
	c := s.client("client")
	s.settle()
	families(t, func(t *testing.T, family int) {
		reports := c.sock(t, "tcp", "-bind", boundPort(family), s.services["one"].On(family, 70).String(), s.services["two"].On(family, 70).String())
		for i, want := range []string{"one", "two"} {
			r := reports[i]
			if r.Err != "" || r.Name != want {
				t.Errorf("%+v, want %s to answer", r, want)
				continue
			}
			assertFrom(t, r, c.Addr(family))
			if !strings.HasSuffix(r.Remote, ":33333") {
				t.Errorf("%s saw %s, want port 33333", want, r.Remote)
			}
		}
	})
}

// boundPort is what a client binds: port 33333 of any address of a family.
func boundPort(family int) string {
	if family == 6 {
		return "[::]:33333"
	}
	return "0.0.0.0:33333"
}

// TestBoundSourcePortAtEnvoy holds a known limit (docs/datapath-reference.md): one
// bound port serves for one service at Envoy at a time. The second is refused by
// connect() itself with EADDRNOTAVAIL, and nothing else is harmed. When this
// fails because the limit is gone, remove it there, and this test.
func TestBoundSourcePortAtEnvoy(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("one", "two")
	s.apply("route-one", plainRoute("one"))
	s.apply("route-two", plainRoute("two"))
	c := s.client("client")
	s.settle()
	families(t, func(t *testing.T, family int) {
		one, two := s.services["one"].On(family, 80).String(), s.services["two"].On(family, 80).String()
		bound := c.kept(t, boundPort(family), one)
		if got := bound.getName(); got != "one" {
			t.Fatalf("the first connection from a bound port: %s, want one", got)
		}
		r := c.sock(t, "tcp", "-http", "-mode", "nonblock", "-bind", boundPort(family), two)[0]
		if r.Call != "connect" || r.Err != "EADDRNOTAVAIL" {
			t.Errorf("the second connection from the bound port: %+v, want connect to fail with EADDRNOTAVAIL at once", r)
		}
		if got := bound.getName(); got != "one" {
			t.Errorf("the first connection then: %s, want one", got)
		}
		for _, name := range []string{"one", "two"} {
			if got := c.getName(family, request{To: "http://" + name + "/", Fresh: true}); got != name {
				t.Errorf("from a port of its own: %s, want %s", got, name)
			}
			if r := c.sock(t, "tcp", "-bind", boundPort(family), s.services[name].On(family, 70).String())[0]; r.Name != name {
				t.Errorf("from the bound port to a service in the kernel: %+v, want %s", r, name)
			}
		}
	})
}

// keptConn is an HTTP/1.1 connection that is used again and again.
type keptConn struct {
	net.Conn
	in *bufio.Reader
}

// kept opens a connection from a bound address.
func (c *client) kept(t *testing.T, local, to string) *keptConn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := c.dialer.DialFrom(ctx, "tcp", local, to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &keptConn{conn, bufio.NewReader(conn)}
}

// getName makes a request and returns the name of who answers, or the error.
func (k *keptConn) getName() string {
	if err := k.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "error: " + err.Error()
	}
	if _, err := k.Write([]byte("GET / HTTP/1.1\r\nHost: kept\r\n\r\n")); err != nil {
		return "error: " + err.Error()
	}
	resp, err := http.ReadResponse(k.in, nil)
	if err != nil {
		return "error: " + err.Error()
	}
	a, err := read(resp)
	if err != nil {
		return "error: " + err.Error()
	}
	return a.name()
}
