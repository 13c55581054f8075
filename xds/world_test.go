package xds_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice.io/sluice/envoy"
	"sluice.io/sluice/envoy/envoytest"
	"sluice.io/sluice/model"
	"sluice.io/sluice/xds"
)

// world is a node with a real Envoy and pods that are network namespaces on one
// bridge. There are no kernel programs here: nftables redirects what pods send
// to service addresses (10.96.0.0/16, fd00:96::/64).
type world struct {
	t      testing.TB
	dir    string
	id     string
	server *xds.Server
	super  *envoy.Supervisor
	cfg    envoy.Config
	mesh   *model.Mesh
	pods   int

	stopServer func()
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := emptyWorld(t)
	background(t, w.super.Run)
	return w
}

// emptyWorld is one whose Envoy is not running yet.
func emptyWorld(t testing.TB) *world {
	t.Helper()
	dir := envoytest.Dir(t)
	w := &world{t: t, dir: dir, id: filepath.Base(dir), mesh: model.NewMesh()}
	w.cfg = envoytest.Config(t, dir)
	w.server = w.serve()
	w.super = envoy.New(w.cfg)
	return w
}

// serve starts an xDS server on the node's socket, until the test ends.
func (w *world) serve() *xds.Server {
	s := xds.NewServer(xds.Config{
		Socket: w.cfg.XDSSocket, Owner: envoy.Nobody, NetnsDir: filepath.Join(w.dir, "netns"),
	})
	w.stopServer = background(w.t, s.Run)
	return s
}

// background runs f until the test ends. An error fails the test at once, and
// ends what it waits for.
func background(t testing.TB, f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := f(ctx); err != nil {
			t.Error(err)
		}
	}()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return stop
}

// apply brings a delta to Envoy, as the agent does.
func (w *world) apply(d *model.Delta) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	w.mesh.Apply(d)
	if err := w.server.Prepare(ctx, d); err != nil {
		w.t.Fatal(err)
	}
	if err := retire(w.server)(ctx, d); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) ready() {
	w.t.Helper()
	eventually(w.t, "Envoy live and in sync", func() bool {
		return w.super.Status().Live && w.server.Status().Synced
	})
}

// eventually polls until a condition holds, or until the test has failed otherwise.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !cond() {
		if t.Failed() {
			t.Fatalf("no longer waiting for: %s", what)
		}
		if time.Now().After(deadline) {
			t.Fatalf("not in 30 s: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// pod is a network namespace with an address of each family.
type pod struct {
	t      testing.TB
	netns  string
	mount  string
	v4, v6 netip.Addr
	key    model.WorkloadKey
	cookie uint64
}

// pod makes one, mounted as the workload namespace/name.
func (w *world) pod(namespace, name string) *pod {
	w.t.Helper()
	w.pods++
	fabric := w.id + "-f"
	if w.pods == 1 {
		w.run("ip", "netns", "add", fabric)
		w.t.Cleanup(func() { exec.Command("ip", "netns", "del", fabric).Run() })
		w.run("ip", "-n", fabric, "link", "add", "br0", "type", "bridge")
		w.run("ip", "-n", fabric, "link", "set", "br0", "up")
	}
	p := &pod{
		t: w.t, netns: fmt.Sprintf("%s-%d", w.id, w.pods),
		v4:  netip.MustParseAddr(fmt.Sprintf("10.77.0.%d", w.pods)),
		v6:  netip.MustParseAddr(fmt.Sprintf("fd00:77::%d", w.pods)),
		key: model.WorkloadKey{Namespace: namespace, Name: name}, cookie: uint64(w.pods),
	}
	port := fmt.Sprintf("p%d", w.pods)
	w.run("ip", "netns", "add", p.netns)
	w.t.Cleanup(func() { exec.Command("ip", "netns", "del", p.netns).Run() })
	w.run("ip", "-n", fabric, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", p.netns)
	w.run("ip", "-n", fabric, "link", "set", port, "master", "br0", "up")
	w.run("ip", "-n", p.netns, "link", "set", "lo", "up")
	w.run("ip", "-n", p.netns, "addr", "add", p.v4.String()+"/16", "dev", "eth0")
	w.run("ip", "-n", p.netns, "addr", "add", p.v6.String()+"/64", "dev", "eth0", "nodad")
	w.run("ip", "-n", p.netns, "link", "set", "eth0", "up")
	w.run("ip", "-n", p.netns, "route", "add", "default", "dev", "eth0")
	w.run("ip", "-n", p.netns, "-6", "route", "add", "default", "dev", "eth0")
	w.run("ip", "netns", "exec", p.netns, "nft", `
		table inet slt {
			chain output {
				type nat hook output priority -100;
				ip daddr 10.96.0.0/16 tcp dport 1-65535 redirect to :15001
				ip6 daddr fd00:96::/64 tcp dport 1-65535 redirect to :15001
			}
		}`)
	p.mount = filepath.Join(w.dir, "netns", namespace, "default", name+"-1")
	w.mount("/var/run/netns/"+p.netns, p.mount)
	return p
}

func (w *world) mount(from, to string) {
	w.t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(to, nil, 0o444); err != nil {
		w.t.Fatal(err)
	}
	if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { unix.Unmount(to, unix.MNT_DETACH) })
}

func (w *world) unmount(path string) {
	w.t.Helper()
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) run(name string, args ...string) {
	w.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		w.t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// workload is the pod as the mesh knows it.
func (p *pod) workload() *model.Workload {
	return &model.Workload{Key: p.key, ServiceAccount: "default", Place: &model.Place{Cookie: p.cookie, Mount: p.mount}}
}

// in runs f on a thread inside the pod's network namespace.
func (p *pod) in(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		ns, err := os.Open("/var/run/netns/" + p.netns)
		if err != nil {
			done <- err
			return
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

// dial connects from inside the pod.
func (p *pod) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var c net.Conn
	err := p.in(func() (err error) {
		c, err = (&net.Dialer{}).DialContext(ctx, network, addr)
		return err
	})
	return c, err
}

// listen listens inside the pod, until the test ends.
func (p *pod) listen(port int) net.Listener {
	p.t.Helper()
	var l net.Listener
	err := p.in(func() (err error) {
		l, err = net.Listen("tcp", fmt.Sprintf(":%d", port))
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { l.Close() })
	return l
}

// handle serves HTTP/1 and HTTP/2 with prior knowledge inside the pod.
func (p *pod) handle(port int, h http.Handler) {
	p.t.Helper()
	s := &http.Server{Handler: h, Protocols: &http.Protocols{}}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	l := p.listen(port)
	go s.Serve(l)
	p.t.Cleanup(func() { s.Close() })
}

// client speaks HTTP/1 from inside the pod, a connection for each request unless
// keep is set, and follows no redirects.
func (p *pod) client(keep bool) *http.Client {
	tr := &http.Transport{DialContext: p.dial, DisableKeepAlives: !keep}
	p.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

// get asks from inside the pod; the body is read.
func (p *pod) get(url string, change ...func(*http.Request)) (*http.Response, string) {
	p.t.Helper()
	resp, body, err := p.try(p.client(false), url, change...)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp, body
}

func (p *pod) try(c *http.Client, url string, change ...func(*http.Request)) (*http.Response, string, error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return nil, "", err
	}
	for _, f := range change {
		f(req)
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}
