package netns

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice.io/sluice/test/netns/lab"
)

// space is one test's part of a world: a Kubernetes namespace of its own, with
// pods and services that go with the test.
type space struct {
	*world
	t *testing.T
	// ns is the Kubernetes namespace; $NS in YAML stands for it.
	ns       string
	services map[string]*lab.Service
	files    map[string]bool
	// vips are the services' addresses, which clients under load look up.
	vips sync.Map
}

var spaces atomic.Int64

// newSpace gives a test its part of the shared world.
func newSpace(t *testing.T) *space {
	t.Helper()
	prepare(t)
	s := machine.shared.space(t)
	t.Cleanup(func() {
		if t.Failed() {
			s.explainFailure(t)
		}
	})
	return s
}

// space gives a test a part of a world.
func (w *world) space(t *testing.T) *space {
	t.Helper()
	s := &space{
		world:    w,
		t:        t,
		ns:       fmt.Sprintf("%s-%d", testName(t), spaces.Add(1)),
		services: map[string]*lab.Service{},
		files:    map[string]bool{},
	}
	t.Cleanup(func() {
		for f := range s.files {
			if err := s.Folder.Remove(f); err != nil {
				t.Error(err)
			}
		}
	})
	return s
}

// apply writes YAML, in which $NS is the space's namespace, to a file of the
// space; a later call with the same name replaces it. It returns the file's name
// in the folder.
func (s *space) apply(name, yaml string) string {
	s.t.Helper()
	file := s.file(name)
	if err := s.Folder.Write(file, s.fill(yaml)); err != nil {
		s.t.Fatal(err)
	}
	s.files[file] = true
	return file
}

// file is the name in the folder of a file of the space.
func (s *space) file(name string) string { return s.ns + "." + name + ".yaml" }

func (s *space) fill(yaml string) string { return strings.ReplaceAll(yaml, "$NS", s.ns) }

// remove removes a file that apply wrote.
func (s *space) remove(name string) {
	s.t.Helper()
	delete(s.files, s.file(name))
	if err := s.Folder.Remove(s.file(name)); err != nil {
		s.t.Fatal(err)
	}
}

// settle waits until all that was applied is in force.
func (s *space) settle() {
	s.t.Helper()
	if err := s.world.settle(); err != nil {
		s.t.Fatal(err)
	}
}

// pod makes a pod that goes with the test.
func (s *space) pod(name string) *lab.Pod {
	s.t.Helper()
	return s.keep(s.Pod(s.ns + "." + name))
}

// hostPod makes a cgroup in the node's own network namespace.
func (s *space) hostPod(name string) *lab.Pod {
	s.t.Helper()
	return s.keep(s.HostPod(s.ns + "." + name))
}

func (s *space) keep(p *lab.Pod, err error) *lab.Pod {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := p.Delete(); err != nil {
			s.t.Error(err)
		}
	})
	return p
}

// server makes a pod with a test server that calls itself name; flags are those
// of `testapp serve`.
func (s *space) server(name string, flags ...string) *lab.Pod {
	s.t.Helper()
	p := s.pod(name)
	if _, err := p.Serve(append([]string{"--name", name}, flags...)...); err != nil {
		s.t.Fatal(err)
	}
	return p
}

// servers makes a pod with a test server for each name.
func (s *space) servers(names ...string) map[string]*lab.Pod {
	s.t.Helper()
	pods := map[string]*lab.Pod{}
	for _, n := range names {
		pods[n] = s.server(n)
	}
	return pods
}

// usual are the ports of a service in front of test servers: HTTP on 80, gRPC on
// 90, TCP on 70, UDP on 53.
func usual() []lab.Port {
	return []lab.Port{
		{Name: "http", Port: 80, Target: 8080},
		{Name: "grpc", Port: 90, Target: 9090, AppProtocol: "grpc"},
		{Name: "tcp", Port: 70, Target: 7000},
		{Name: "udp", Port: 53, Target: 5353, Protocol: "UDP"},
	}
}

// service declares a service with the usual ports in front of pods.
func (s *space) service(name string, pods ...*lab.Pod) *lab.Service {
	s.t.Helper()
	svc := &lab.Service{Namespace: s.ns, Name: name, VIP: s.VIP(), Ports: usual(), Endpoints: pods}
	s.declare(svc)
	return svc
}

// declare writes a service, or its new state, to the folder.
func (s *space) declare(svc *lab.Service) {
	s.t.Helper()
	s.services[svc.Name] = svc
	s.vips.Store(svc.Name, svc.VIP)
	s.apply("service-"+svc.Name, svc.YAML())
}

// each declares a service for each name, with one test server of that name.
func (s *space) each(names ...string) {
	s.t.Helper()
	for _, n := range names {
		s.service(n, s.server(n))
	}
}

// eventually waits for a condition that must come true.
func (s *space) eventually(what string, try func() error) {
	s.t.Helper()
	if err := lab.Poll(20*time.Second, try); err != nil {
		s.t.Fatalf("%s: %v", what, err)
	}
}

// families runs a test over IPv4 and over IPv6.
func families(t *testing.T, test func(t *testing.T, family int)) {
	t.Helper()
	for _, family := range []int{4, 6} {
		t.Run(fmt.Sprintf("IPv%d", family), func(t *testing.T) { test(t, family) })
	}
}

// within is a context for one request.
func (s *space) within(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.t.Context(), d)
}
