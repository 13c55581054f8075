package xds_test

import (
	"net/http"
	"strings"
	"testing"

	"sluice.io/sluice/model"
)

// TestGatewayAddresses: a gateway's port is met at each of its addresses, and at
// any address of the node where it has a target or no address; by the most
// specific; and nowhere else.
func TestGatewayAddresses(t *testing.T) {
	e, d := newEdge(t), model.NewDelta()
	gateway(d, 80, []string{"203.0.113.1", "203.0.113.2", "2001:db8::1"}, webChain()).Target = 20080
	gateway(d, 25000, nil, webChain())
	domain(d, 80, "web", "*", to("/", weighted("one", 1)))
	domain(d, 25000, "web", "*", to("/", weighted("two", 1)))
	e.start(t, d)
	node := e.node.v4.String()
	for _, c := range []struct {
		from *pod
		to   string
		want string
	}{
		{e.client, "203.0.113.1:80", "one"}, {e.client, "203.0.113.2:80", "one"}, {e.client, node + ":20080", "one"},
		{e.client, "203.0.113.9:25000", "two"}, {e.client, node + ":25000", "two"},
		{e.node, "203.0.113.1:80", "one"}, {e.node, "[2001:db8::1]:80", "one"},
		{e.node, "127.0.0.1:20080", "one"}, {e.node, "[::1]:20080", "one"}, {e.node, "[2001:db8::7]:25000", "two"},
		{e.client, "203.0.113.3:80", ""}, {e.client, "203.0.113.1:81", ""}, {e.node, "127.0.0.1:15006", ""},
	} {
		resp, _, err := visitor{from: c.from, to: c.to}.ask("http://any.org/")
		if got := ""; err == nil {
			got = resp.Header.Get("Backend")
			if got != c.want {
				t.Errorf("%s: %s from %q, want %q", c.to, resp.Status, got, c.want)
			}
		} else if c.want != "" {
			t.Errorf("%s: %v, want %q", c.to, err, c.want)
		}
	}
}

// TestGatewayHosts: requests go by their host, whatever its case and port; the
// most specific name takes them, and no other has a say then.
func TestGatewayHosts(t *testing.T) {
	e, d := newEdge(t), model.NewDelta()
	gateway(d, 80, []string{"203.0.113.1"}, webChain())
	gateway(d, 81, []string{"203.0.113.1"}, webChain())
	domain(d, 80, "web", "a.example.com", to("/a", weighted("one", 1)))
	domain(d, 80, "web", "*.example.com", to("/", weighted("two", 1)))
	domain(d, 80, "web", "*.b.example.com").HTTP = nil
	domain(d, 80, "web", "other.org", to("/", weighted("three", 1)))
	domain(d, 80, "web", "elsewhere.org").Misdirected = true
	e.start(t, d)
	for _, c := range []struct {
		host, path, want string
		status           int
	}{
		{"a.example.com", "/a", "one", 200}, {"a.example.com:80", "/a", "one", 200}, {"A.Example.COM", "/a", "one", 200},
		{"a.example.com:8080", "/a/b", "one", 200}, {"a.example.com", "/", "", 404},
		{"b.example.com", "/", "two", 200}, {"x.y.example.com", "/", "two", 200}, {"B.EXAMPLE.com:99", "/", "two", 200},
		{"x.b.example.com", "/", "", 404}, {"example.com", "/", "", 404}, {"other.org", "/", "three", 200},
		{"Other.Org:1", "/", "three", 200}, {"a.example.com.", "/a", "one", 200}, {"*", "/", "", 404}, {"unknown.org", "/", "", 404}, {"elsewhere.org", "/", "", 421},
		{"[::1]:80", "/", "", 404}, {"10.1.2.3", "/", "", 404},
	} {
		resp, body, err := visitor{from: e.client, to: "203.0.113.1:80"}.ask("http://x"+c.path, func(r *http.Request) { r.Host = c.host })
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != c.status || resp.Header.Get("Backend") != c.want {
			t.Errorf("%s%s: %s from %q, want %d from %q", c.host, c.path, resp.Status, resp.Header.Get("Backend"), c.status, c.want)
		}
		if c.want != "" && !strings.Contains(strings.ToLower(body), " "+strings.TrimSuffix(strings.ToLower(c.host), ".")+" ") {
			t.Errorf("%s: the backend saw another host: %s", c.host, body)
		}
	}
	if resp, _, err := (visitor{from: e.client, to: "203.0.113.1:81"}).ask("http://any.org/"); err != nil || resp.StatusCode != 404 {
		t.Errorf("a port without hosts: %v %v, want 404", resp, err)
	}
}
