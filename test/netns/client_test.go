package netns

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice.io/sluice/test/apps/dialer"
	"sluice.io/sluice/test/apps/echo"
	"sluice.io/sluice/test/netns/lab"
)

// client is a pod from which a test sends requests. Its connections are made by
// a process of the pod. Services go by their names: "http://echo/path".
type client struct {
	*lab.Pod
	s      *space
	name   string
	dialer *dialer.Client
	http   map[string]*http.Client
}

// client makes a client that is a workload of the mesh, in the space's namespace.
func (s *space) client(name string) *client {
	s.t.Helper()
	return s.clientIn(s.ns, name)
}

// clientIn makes a client that is a workload of another namespace.
func (s *space) clientIn(ns, name string) *client {
	s.t.Helper()
	c := s.unmeshed(name)
	s.apply("workload-"+name, c.WorkloadYAML(ns, name))
	return c
}

// unmeshed makes a client that the mesh does not know.
func (s *space) unmeshed(name string) *client {
	s.t.Helper()
	return s.newClient(name, s.pod(name))
}

func (s *space) newClient(name string, pod *lab.Pod) *client {
	s.t.Helper()
	d, err := pod.Dialer()
	if err != nil {
		s.t.Fatal(err)
	}
	c := &client{Pod: pod, s: s, name: name, dialer: d, http: map[string]*http.Client{}}
	for _, family := range []int{4, 6} {
		for _, h2c := range []bool{false, true} {
			c.http[clientKey(family, h2c)] = echo.NewHTTPClient(c.dial(family), h2c)
		}
	}
	s.t.Cleanup(c.closeIdle)
	return c
}

func (c *client) closeIdle() {
	for _, hc := range c.http {
		hc.CloseIdleConnections()
	}
}

func clientKey(family int, h2c bool) string { return fmt.Sprint(family, h2c) }

// dial returns the dial function for a family; hosts are services' names, or addresses.
func (c *client) dial(family int) echo.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		to, err := c.resolve(family, address)
		if err != nil {
			return nil, err
		}
		return c.dialer.Dial(ctx, network, to)
	}
}

func (c *client) resolve(family int, address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return address, nil
	}
	name, _, _ := strings.Cut(host, ".")
	vip, ok := c.s.vips.Load(name)
	if !ok {
		return "", fmt.Errorf("the test has no service %s", name)
	}
	return net.JoinHostPort(vip.(lab.VIP).Addr(family).String(), port), nil
}

// request is an HTTP request of a test.
type request struct {
	// To is the URL.
	To     string
	Method string
	// Header holds "Name: value" lines.
	Header []string
	Body   string
	H2C    bool
	// Fresh asks for a connection of its own.
	Fresh bool
	// Within bounds the request; 10 seconds when zero.
	Within time.Duration
}

// answer is what came back.
type answer struct {
	Code   int
	Proto  string
	Header http.Header
	Body   string
	// Seen is the server's report, when an echo server answered.
	Seen *echo.Seen
}

// name is the name of the server that answered, or the code that somebody else
// answered with.
func (a *answer) name() string {
	if a.Seen == nil || a.Seen.Name == "" {
		return strconv.Itoa(a.Code)
	}
	return a.Seen.Name
}

// try makes a request.
func (c *client) try(family int, r request) (*answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), cmp.Or(r.Within, 10*time.Second))
	defer cancel()
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, r.To, strings.NewReader(r.Body))
	if err != nil {
		return nil, err
	}
	for _, h := range r.Header {
		name, value, _ := strings.Cut(h, ":")
		req.Header.Add(name, strings.TrimSpace(value))
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	hc := c.http[clientKey(family, r.H2C)]
	if r.Fresh {
		hc = echo.NewHTTPClient(c.dial(family), r.H2C)
		defer hc.CloseIdleConnections()
	}
	return send(hc, req)
}

func send(hc *http.Client, req *http.Request) (*answer, error) {
	resp, err := hc.Do(req)
	if err != nil {
		return nil, err
	}
	return read(resp)
}

// read takes a response in.
func read(resp *http.Response) (*answer, error) {
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read the body after %s: %w", resp.Status, err)
	}
	a := &answer{Code: resp.StatusCode, Proto: resp.Proto, Header: resp.Header, Body: string(b)}
	if seen, err := echo.ParseSeen(b); err == nil {
		a.Seen = seen
	}
	return a, nil
}

// get makes a request that must be answered, with whatever code.
func (c *client) get(t *testing.T, family int, r request) *answer {
	t.Helper()
	a, err := c.try(family, r)
	if err != nil {
		t.Fatalf("%s over IPv%d: %v", r.To, family, err)
	}
	return a
}

// getName makes a request and returns the name of the server that answered, or
// the code, or the error.
func (c *client) getName(family int, r request) string {
	a, err := c.try(family, r)
	if err != nil {
		return "error: " + err.Error()
	}
	return a.name()
}

// tcp opens a TCP connection to a service's TCP port, or to an address.
func (c *client) tcp(family int, address string) (*echo.TCP, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := c.dial(family)(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	t, err := echo.Greeted(conn)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return t, nil
}

// tcpName opens a TCP connection and returns the name of who answers, or the error.
func (c *client) tcpName(family int, address string) string {
	t, err := c.tcp(family, address)
	if err != nil {
		return "error: " + err.Error()
	}
	defer func() { _ = t.Close() }()
	return t.Name
}

// udpName sends a datagram from a new connected socket and returns the name of
// who answers, or the error.
func (c *client) udpName(family int, address string) string {
	d, err := c.udp(family, address)
	if err != nil {
		return "error: " + err.Error()
	}
	return d.Name
}

func (c *client) udp(family int, address string) (*echo.Datagram, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := c.dial(family)(ctx, "udp", address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	return ask(conn)
}

// ask sends a datagram and returns the answer. Datagrams may get lost, such as
// where a busy machine's queues overflow, so it is sent again, from the same
// socket: what never gets through still fails.
func ask(conn net.Conn) (*echo.Datagram, error) {
	buf := make([]byte, 2048)
	for attempt := 1; ; attempt++ {
		if _, err := conn.Write([]byte("hello")); err != nil {
			return nil, err
		}
		if err := conn.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
			return nil, err
		}
		n, err := conn.Read(buf)
		switch {
		case err == nil:
			return echo.ParseDatagram(buf[:n])
		case attempt == 4 || !errors.Is(err, os.ErrDeadlineExceeded):
			return nil, err
		}
	}
}

// grpc opens a gRPC client of a service's name and port.
func (c *client) grpc(t *testing.T, family int, target string) *echo.GRPCClient {
	t.Helper()
	g, err := echo.DialGRPC(c.dial(family), target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	return g
}

// sock runs the tcp or udp role of the test program in the pod, and returns its reports.
func (c *client) sock(t *testing.T, args ...string) []echo.SockReport {
	t.Helper()
	out, err := c.Testapp(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	var reports []echo.SockReport
	for line := range strings.Lines(out) {
		var r echo.SockReport
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		reports = append(reports, r)
	}
	return reports
}
