package install_test

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice.io/sluice/test/cluster"
	"sluice.io/sluice/test/cluster/build"
	"sluice.io/sluice/test/install"
)

// patience is for what the cluster does in its own time: after an outage, watches
// come back by client-go's back-off.
const patience = 2 * time.Minute

// world is a cluster with Sluice, and what the steps have learned.
type world struct {
	ctx       context.Context
	cluster   *cluster.Cluster
	release   *install.Release
	addresses []string // Of the Gateway, IPv4 first.
}

// lines sends progress to the test's log.
type lines struct{ t *testing.T }

func (l lines) Write(b []byte) (int, error) {
	l.t.Log(strings.TrimRight(string(b), "\n"))
	return len(b), nil
}

func (w *world) must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) kubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := w.cluster.KubectlWith(w.ctx, stdin, args...)
	w.must(t, err)
	return strings.TrimSpace(out)
}

// explain keeps what helps to understand a failure.
func (w *world) explain(t *testing.T) {
	dir, err := install.SaveLogs(w.ctx, w.cluster)
	t.Logf("logs, events and statuses are in %s (%v)", dir, err)
	out, err := w.cluster.Kubectl(w.ctx, "get", "pods", "-A", "-o", "wide")
	t.Logf("%s%v", out, err)
}

// eventually tries until it works.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	within(t, patience, what, try)
}

// within tries until it works, for what takes the cluster no time of its own.
func within(t *testing.T, patience time.Duration, what string, try func() error) {
	t.Helper()
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if time.Since(start) > patience {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// get asks from a place, over a connection of its own.
func (w *world) get(from cluster.Place, url string, want int) error {
	a, err := from.Get(w.ctx, url)
	if err == nil && a.Status != want {
		err = fmt.Errorf("%s: %d, want %d", url, a.Status, want)
	}
	return err
}

// at is a URL of a server; a port of it, unless empty.
func at(addr, port, path string) string {
	return "http://" + net.JoinHostPort(addr, cmp.Or(port, "80")) + path
}

// answers waits until the Gateway answers a path so, at each of its addresses.
func (w *world) answers(t *testing.T, path string, want int) {
	t.Helper()
	for _, addr := range w.addresses {
		eventually(t, "the Gateway to answer "+path, func() error {
			return w.get(w.cluster.Control(), at(addr, "", path), want)
		})
	}
}

// routeIsServed makes a route of that name that redirects, which no other does,
// and waits until it is in force.
func (w *world) routeIsServed(t *testing.T, name string) {
	t.Helper()
	eventually(t, "the API server to take a route", func() error {
		_, err := w.cluster.KubectlWith(w.ctx, route(name, "/"+name), "apply", "-f", "-")
		return err
	})
	eventually(t, "route "+name+" to be accepted", func() error {
		out, err := w.cluster.Kubectl(w.ctx, "get", "httproute", name, "-o",
			`jsonpath={.status.parents[0].conditions[?(@.type=="Accepted")].status}`)
		if err == nil && out != "True" {
			err = fmt.Errorf("its status is %q", out)
		}
		return err
	})
	for _, addr := range w.addresses {
		eventually(t, "route "+name+" to be served", func() error { return w.hasHeader(addr, name) })
	}
}

// hasHeader checks that the answer is the named route's.
func (w *world) hasHeader(addr, name string) error {
	a, err := w.cluster.Control().Get(w.ctx, at(addr, "", "/"+name))
	if err != nil {
		return err
	}
	if got := a.Header.Get("Route"); a.Status != http.StatusOK || got != name {
		return fmt.Errorf("%d, and route %q answers", a.Status, got)
	}
	return nil
}

// renew gives the Gateway another certificate, and returns what trusts it alone.
func (w *world) renew(t *testing.T) *x509.CertPool {
	t.Helper()
	crt, key, err := build.SelfSigned("front.example")
	w.must(t, err)
	w.kubectl(t, secret("default", "front", crt, key), "apply", "-f", "-")
	trust := x509.NewCertPool()
	trust.AppendCertsFromPEM(crt)
	return trust
}

// leader is the controller's pod that leads.
func (w *world) leader(t *testing.T) string {
	return w.kubectl(t, "", "-n", install.Namespace, "get", "lease", "sluice-controller", "-o", "jsonpath={.spec.holderIdentity}")
}

// holders are the nodes that answer for the Gateway's addresses, in their order.
func (w *world) holders(t *testing.T) []string {
	t.Helper()
	var pool struct {
		Status struct {
			Assignments []struct{ Address, Node string }
		}
	}
	w.must(t, w.cluster.Get(w.ctx, "/apis/sluice.io/v1alpha1/addresspools/default", &pool))
	nodes := make([]string, len(w.addresses))
	for _, a := range pool.Status.Assignments {
		if i := slices.Index(w.addresses, a.Address); i >= 0 {
			nodes[i] = a.Node
		}
	}
	return nodes
}

// arguments are those of the Envoys' containers, when those that were replaced
// have ended.
func (w *world) arguments(t *testing.T) string {
	eventually(t, "replaced Envoys to end", func() error {
		if n := len(w.envoyPods(t)); n != w.cluster.Nodes() {
			return fmt.Errorf("there are %d pods of Envoy", n)
		}
		return nil
	})
	return w.kubectl(t, "", "-n", install.Namespace, "get", "pods", "-l", "app.kubernetes.io/component=envoy", "-o", "jsonpath={.items[*].spec.containers[*].args}")
}

func (w *world) processOf(t *testing.T, node int, role string) int {
	t.Helper()
	pid, err := w.findProcess(node, role)
	w.must(t, err)
	return pid
}

var errNoProcess = errors.New("no such process")

// findProcess finds a process of Sluice on a node by its role; any of Sluice or
// Envoy when the role is empty.
func (w *world) findProcess(node int, role string) (int, error) {
	found, err := 0, errNoProcess
	_ = filepath.WalkDir(w.cluster.NodeCgroup(node), func(path string, d os.DirEntry, walkErr error) error {
		if walkErr != nil || d.Name() != "cgroup.procs" {
			return nil // a group that ends while we look
		}
		b, _ := os.ReadFile(path)
		for _, pid := range strings.Fields(string(b)) {
			line, _ := os.ReadFile("/proc/" + pid + "/cmdline")
			args := strings.Split(string(line), "\x00")
			isRole := len(args) > 1 && args[0] == "/usr/bin/sluice" && args[1] == role
			isAny := role == "" && (args[0] == "/usr/bin/sluice" || args[0] == "/usr/bin/envoy")
			if isRole || isAny {
				found, err = strconv.Atoi(pid)
				return filepath.SkipAll
			}
		}
		return nil
	})
	return found, err
}
