package explain_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"sluice.io/sluice/envoy/envoytest"
	"sluice.io/sluice/model"
	"sluice.io/sluice/observe/explain"
	"sluice.io/sluice/xds/translate"
)

// TestAsEnvoyDoes sends random requests through the real Envoy, whose routes
// answer with their number, and wants explain to name the same route.
func TestAsEnvoyDoes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	meshes := make([]*model.Mesh, 30)
	frontends := make([]*model.Frontend, len(meshes))
	for i := range meshes {
		meshes[i], frontends[i] = randomRoutes(rnd, 8)
	}
	dir := serve(t, frontends)
	for i, mesh := range meshes {
		compare(t, rnd, mesh, dial(t, socket(dir, i)))
	}
}

// compare asks Envoy and explain the same.
func compare(t *testing.T, rnd *rand.Rand, mesh *model.Mesh, conn net.Conn) {
	t.Helper()
	in := bufio.NewReader(conn)
	for range 300 {
		q := randomRequest(rnd)
		want := ""
		a, err := explain.Explain(mesh, nil, q)
		if err != nil {
			t.Fatal(err)
		}
		if a.Rule != nil {
			want = strconv.Itoa(a.Rule.Origin.Rule)
		}
		if got := exchange(t, conn, in, q); got != want {
			t.Errorf("%s %s %v: Envoy takes route %q, explain says %q\n%s", q.Method, q.Path, q.Headers, got, want, a.Text())
		}
	}
}

func pick[T any](rnd *rand.Rand, from ...T) T { return from[rnd.IntN(len(from))] }

// randomRoutes makes a frontend with n entries in an order of chance: which
// goes before which is not what is tested here.
func randomRoutes(rnd *rand.Rand, n int) (*model.Mesh, *model.Frontend) {
	vip := netip.MustParseAddr("10.96.0.1")
	f := &model.Frontend{
		Key:  model.FrontendKey{Namespace: "shop", Name: "cart", Port: 80, Protocol: model.TCP},
		VIPs: []netip.Addr{vip}, HTTP: &model.HTTPRouting{},
	}
	for i := range n {
		rule := &model.HTTPRule{Origin: model.Origin{Object: model.ObjectRef{Kind: "HTTPRoute", Namespace: "shop", Name: "cart"}, Rule: i}}
		f.HTTP.Entries = append(f.HTTP.Entries, model.HTTPEntry{Match: randomMatch(rnd), Rule: rule})
	}
	m := model.NewMesh()
	m.Frontends[f.Key] = f
	key := model.WorkloadKey{Namespace: "shop", Name: "web"}
	m.Workloads[key] = &model.Workload{Key: key, Place: &model.Place{}}
	return m, f
}

func randomMatch(rnd *rand.Rand) model.HTTPMatch {
	m := model.HTTPMatch{Path: &model.StringMatch{Kind: model.MatchPrefix, Value: pick(rnd, "/", "/a", "/a/b", "/c")}}
	switch rnd.IntN(4) {
	case 0:
		*m.Path = model.StringMatch{Kind: model.MatchExact, Value: pick(rnd, "/", "/a", "/a/", "/a/b", "/b", "/a//b", "/a%2fb", "/a%2Fb", "/a;x=1", "/~")}
	case 1:
		*m.Path = model.StringMatch{Kind: model.MatchRegex, Value: pick(rnd, "/a", "/a|/b", "/.", "/a/.*", "(?i)/A", ".*b", "/[^/]+/b", "/(?:a|b)/")}
	}
	if rnd.IntN(4) == 0 {
		m.Method = pick(rnd, "GET", "POST", "PUT")
	}
	for _, name := range []string{"x-a", "host"} {
		if rnd.IntN(4) == 0 {
			m.Headers = append(m.Headers, randomNamed(rnd, name, "1", "1,2", "cart", "cart:8080", ""))
		}
	}
	if rnd.IntN(4) == 0 {
		m.Query = append(m.Query, randomNamed(rnd, pick(rnd, "q", "Q"), "1", "2", "%31", ""))
	}
	return m
}

func randomNamed(rnd *rand.Rand, name string, values ...string) model.NamedMatch {
	if rnd.IntN(3) == 0 {
		return model.NamedMatch{Name: name, Kind: model.MatchRegex, Value: pick(rnd, "[0-9]", ".*", ".+", "1|2", "cart.*", "1,.", "é+", "..", "[é]")}
	}
	return model.NamedMatch{Name: name, Kind: model.MatchExact, Value: pick(rnd, values...)}
}

func randomRequest(rnd *rand.Rand) explain.Query {
	q := explain.Query{
		From: model.WorkloadKey{Namespace: "shop", Name: "web"}, To: "cart:80",
		Method: pick(rnd, "GET", "GET", "POST", "PUT"),
		Path: pick(rnd, "/", "/a", "/a/", "/ab", "/a/b", "/a/b/", "/a//b", "/a/../b", "/a/./b", "/%61", "/%7E", "/a%2fb", "/a%2Fb", "/A",
			`/a\b`, "/a/%2e%2e/b", "/a;x=1", "/c/d", "/..", "//", "/a/b/..") +
			pick(rnd, "", "", "?", "?q=1", "?q=1&q=2", "?q=2&q=1", "?Q=1", "?q=%31", "?q", "?q=", "?x=q=1", "?a&q=2", "?q=1?"),
	}
	q.Headers = append(q.Headers, model.Header{Name: "Host", Value: pick(rnd, "cart", "cart:8080", "CART", "cart.shop")})
	for range rnd.IntN(3) {
		q.Headers = append(q.Headers, model.Header{Name: pick(rnd, "x-a", "X-A"), Value: pick(rnd, "1", "2", "", "1,2", "é", "éé", "\xc3")})
	}
	return q
}

// serve starts an Envoy with each frontend's routes on a socket of its own in the
// folder that it returns.
func serve(t *testing.T, frontends []*model.Frontend) (dir string) {
	t.Helper()
	dir = envoytest.Dir(t)
	var listeners []object
	for i, f := range frontends {
		listeners = append(listeners, listener(socket(dir, i), numbered(t, f)))
	}
	config, err := json.Marshal(object{"static_resources": object{"listeners": listeners}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "envoy.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, envoytest.Binary(t), "-c", file, "--disable-hot-restart", "--concurrency", "1", "-l", "error")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	return dir
}

func socket(dir string, i int) string { return filepath.Join(dir, fmt.Sprint(i, ".sock")) }

// object is a JSON object.
type object = map[string]any

// numbered returns the frontend's routes in Envoy's JSON, each answering with its
// number.
func numbered(t *testing.T, f *model.Frontend) object {
	t.Helper()
	config, _ := translate.Routes(f)
	text, err := protojson.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	var routes struct {
		VirtualHosts []struct{ Routes []object }
	}
	if err := json.Unmarshal(text, &routes); err != nil {
		t.Fatal(err)
	}
	out := []object{}
	for i, r := range routes.VirtualHosts[0].Routes {
		out = append(out, object{
			"match":           r["match"],
			"direct_response": object{"status": 200, "body": object{"inline_string": strconv.Itoa(i)}},
		})
	}
	if len(out) != len(f.HTTP.Entries) {
		t.Fatalf("%d routes for %d entries", len(out), len(f.HTTP.Entries))
	}
	return object{"virtual_hosts": []object{{"name": "all", "domains": []string{"*"}, "routes": out}}}
}

func listener(socket string, routes object) object {
	const types = "type.googleapis.com/envoy.extensions.filters."
	return object{
		"name":    socket,
		"address": object{"pipe": object{"path": socket}},
		"filter_chains": []object{{"filters": []object{{"name": "http", "typed_config": object{
			"@type":          types + "network.http_connection_manager.v3.HttpConnectionManager",
			"stat_prefix":    "test",
			"route_config":   routes,
			"normalize_path": true, // as translate's listeners have it
			"http_filters":   []object{{"name": "router", "typed_config": object{"@type": types + "http.router.v3.Router"}}},
		}}}}},
	}
}

func dial(t *testing.T, socket string) net.Conn {
	t.Helper()
	var last error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("unix", socket)
		if err == nil {
			t.Cleanup(func() { c.Close() })
			return c
		}
		last = err
	}
	t.Fatalf("Envoy does not listen: %v", last)
	return nil
}

// exchange sends a request as it is written, and returns the number of the route
// that answered; empty when none did.
func exchange(t *testing.T, conn net.Conn, in *bufio.Reader, q explain.Query) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nContent-Length: 0\r\n", q.Method, q.Path)
	for _, h := range q.Headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h.Name, h.Value)
	}
	if _, err := io.WriteString(conn, b.String()+"\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return string(body)
	case http.StatusNotFound:
		return ""
	}
	t.Fatalf("%s %s: %s", q.Method, q.Path, resp.Status)
	return ""
}
