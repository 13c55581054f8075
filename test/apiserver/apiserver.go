// Package apiserver gives tests a real API server with the CRDs that Sluice
// reads: a cluster of test/cluster, with one node.
//
// It owns bringing it up once for a package's tests. It must not know what is
// tested.
package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"sluice.io/sluice/crds"
	"sluice.io/sluice/test/cluster"
)

// Server is an API server.
type Server struct {
	*cluster.Cluster
}

// deadline bounds the time of each step.
const deadline = 3 * time.Minute

// Main runs a package's tests, and takes down what they brought up. Check is
// asked at the end, such as for goroutines; nil for nothing.
func Main(m *testing.M, name string, number int, check func() error) {
	MainOf(m, cluster.Config{Name: name, Nodes: 1, Ranges: cluster.RangesOf(number), Images: []string{"pause"}, GatewayAPI: "experimental"}, check)
}

// MainOf is Main with a cluster of another kind.
func MainOf(m *testing.M, config cluster.Config, check func() error) {
	shared.config = config
	shared.config.Progress = os.Stderr
	code := m.Run()
	if shared.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		if err := shared.server.Down(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "take down the cluster:", err)
			code = 1
		}
	}
	if check != nil && code == 0 {
		if err := check(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

var shared struct {
	once   sync.Once
	config cluster.Config
	server *Server
	err    error
}

// Get returns the API server of the package's tests.
func Get(t *testing.T) *Server {
	t.Helper()
	if testing.Short() {
		t.Skip("needs root and a cluster")
	}
	shared.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*deadline) // the first one builds it
		defer cancel()
		c, err := cluster.Up(ctx, shared.config)
		if err != nil {
			shared.err = err
			return
		}
		shared.server = &Server{c}
		shared.err = shared.server.install(ctx)
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server
}

// ghosts are nodes that nothing runs on, for pods that nothing starts. Pods of
// nodes that are not there are removed.
const ghosts = `
apiVersion: v1
kind: Node
metadata: {name: ghost1}
---
apiVersion: v1
kind: Node
metadata: {name: ghost2}
`

// install installs Sluice's own CRDs.
func (s *Server) install(ctx context.Context) error {
	names, err := fs.Glob(crds.Files(), "*.yaml")
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := fs.ReadFile(crds.Files(), name)
		if err != nil {
			return err
		}
		if _, err := s.KubectlWith(ctx, string(text), "apply", "-f", "-"); err != nil {
			return err
		}
	}
	if _, err := s.KubectlWith(ctx, ghosts, "apply", "-f", "-"); err != nil {
		return err
	}
	_, err = s.Kubectl(ctx, "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
	return err
}

// Config reaches the server as administrator.
func (s *Server) Config(t *testing.T) *rest.Config {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", s.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	config.Dial = s.Control().DialContext
	config.QPS, config.Burst = 200, 400
	return config
}

// Kube runs kubectl, and fails the test when that fails.
func (s *Server) Kube(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	out, err := s.Kubectl(ctx, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Apply applies YAML.
func (s *Server) Apply(t *testing.T, yaml string) {
	t.Helper()
	s.feed(t, yaml, "apply")
}

// Create creates what is in YAML, also what is too large to be applied.
func (s *Server) Create(t *testing.T, yaml string) {
	t.Helper()
	s.feed(t, yaml, "create")
}

func (s *Server) feed(t *testing.T, yaml, verb string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if _, err := s.KubectlWith(ctx, yaml, verb, "-f", "-"); err != nil {
		t.Fatal(err)
	}
}

// Namespace makes a namespace for one test, and removes it after.
func (s *Server) Namespace(t *testing.T, name string, labels ...string) string {
	t.Helper()
	s.Kube(t, "create", "namespace", name)
	t.Cleanup(func() { s.Kube(t, "delete", "namespace", name, "--wait=false") })
	if len(labels) > 0 {
		s.Kube(t, append([]string{"label", "namespace", name}, labels...)...)
	}
	return name
}

// Read gets an object of the API by its path; it tells whether it is there.
func (s *Server) Read(t *testing.T, path string, into any) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	var raw json.RawMessage
	if err := s.Get(ctx, path, &raw); err != nil {
		if strings.Contains(err.Error(), "404") {
			return false
		}
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
	return true
}

// Stop kills the API server, and Start brings it back.
func (s *Server) Stop(t *testing.T) {
	t.Helper()
	if err := s.StopComponent(t.Context(), "apiserver", syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// Start brings the API server back, and controllers beside it that begin anew:
// those that saw it go wait up to a minute before they look again (the back-off
// of client-go's reflectors), and the next test's namespace gets nothing.
func (s *Server) Start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	err := errors.Join(
		s.StartComponent(ctx, "apiserver"),
		s.StopComponent(ctx, "controller-manager", syscall.SIGKILL),
		s.StartComponent(ctx, "controller-manager"),
	)
	if err != nil {
		t.Fatal(err)
	}
}

// Eventually waits for something to come true.
func Eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
