package install_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice.io/sluice/test/cluster"
	"sluice.io/sluice/test/install"
)

// patience is for what the cluster does in its own time: after an outage, watches
// come back by client-go's back-off.
const patience = 2 * time.Minute

// world is a cluster with Sluice, and what the steps have learned.
type world struct {
	ctx     context.Context
	cluster *cluster.Cluster
	release *install.Release
	address string // Of the Gateway.
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
	ctx, cancel := context.WithTimeout(w.ctx, 5*time.Second)
	defer cancel()
	client := http.Client{Transport: &http.Transport{DialContext: from.DialContext, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != want {
		return fmt.Errorf("%s: %s, want %d", url, resp.Status, want)
	}
	return nil
}

// answers waits until the Gateway answers a path so.
func (w *world) answers(t *testing.T, path string, want int) {
	t.Helper()
	eventually(t, "the Gateway to answer "+path, func() error {
		return w.get(w.cluster.Control(), "http://"+w.address+path, want)
	})
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
	eventually(t, "route "+name+" to be served", func() error {
		if err := w.get(w.cluster.Control(), "http://"+w.address+"/"+name, http.StatusOK); err != nil {
			return err
		}
		return w.hasHeader(name)
	})
}

// hasHeader checks that the answer is the named route's.
func (w *world) hasHeader(name string) error {
	ctx, cancel := context.WithTimeout(w.ctx, 5*time.Second)
	defer cancel()
	client := http.Client{Transport: &http.Transport{DialContext: w.cluster.Control().DialContext, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.address+"/"+name, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if got := resp.Header.Get("Route"); got != name {
		return fmt.Errorf("route %q answers", got)
	}
	return nil
}

// steady is a client that asks the Gateway all the time.
type steady struct {
	stop  func()
	mu    sync.Mutex
	asked int
	errs  []error
}

func (w *world) steady(t *testing.T) *steady {
	s := &steady{}
	ctx, cancel := context.WithCancel(w.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			err := w.get(w.cluster.Control(), "http://"+w.address+"/", http.StatusOK)
			s.mu.Lock()
			s.asked++
			if err != nil && ctx.Err() == nil {
				s.errs = append(s.errs, fmt.Errorf("%s: %w", time.Now().Format("15:04:05.000"), err))
			}
			s.mu.Unlock()
		}
	}()
	s.stop = func() { cancel(); <-done }
	t.Cleanup(s.stop)
	return s
}

func (s *steady) expectNoFailure(t *testing.T) {
	t.Helper()
	s.stop()
	t.Logf("%d requests, %d failed", s.asked, len(s.errs))
	if s.asked < 10 || len(s.errs) > 0 {
		t.Errorf("%d of %d requests failed:\n%v", len(s.errs), s.asked, errors.Join(s.errs[:min(5, len(s.errs))]...))
	}
}

// leader is the controller's pod that leads.
func (w *world) leader(t *testing.T) string {
	return w.kubectl(t, "", "-n", install.Namespace, "get", "lease", "sluice-controller", "-o", "jsonpath={.spec.holderIdentity}")
}

// holder is the node that answers for the Gateway's address.
func (w *world) holder(t *testing.T) string {
	return w.kubectl(t, "", "get", "addresspool", "default", "-o", "jsonpath={.status.assignments[0].node}")
}

// arguments are those of the Envoys' containers.
func (w *world) arguments(t *testing.T) string {
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

// backends are servers on each node, and their Service.
func backends(nodes int) string {
	return fmt.Sprintf(`---
apiVersion: apps/v1
kind: Deployment
metadata: {name: echo}
spec:
  replicas: %d
  selector: {matchLabels: {app: echo}}
  template:
    metadata: {labels: {app: echo}}
    spec:
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: echo}}}
      containers:
      - name: echo
        image: registry.k8s.io/gateway-api/echo-basic:v1.5.1
        env:
        - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
        readinessProbe: {httpGet: {path: /, port: 3000}, periodSeconds: 1}
        securityContext:
          {runAsNonRoot: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}
---
apiVersion: v1
kind: Service
metadata: {name: echo}
spec: {selector: {app: echo}, ports: [{port: 80, targetPort: 3000}]}
`, nodes)
}

const gateway = `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front}
spec:
  gatewayClassName: ` + install.GatewayClass + `
  listeners: [{name: http, port: 80, protocol: HTTP}]
`

// route is an HTTPRoute that says its name in the answer.
func route(name, path string) string {
	return fmt.Sprintf(`---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %s}
spec:
  parentRefs: [{name: front}]
  rules:
  - matches: [{path: {type: PathPrefix, value: %s}}]
    filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: Route, value: %s}]}}]
    backendRefs: [{name: echo, port: 80}]
`, name, path, name)
}
