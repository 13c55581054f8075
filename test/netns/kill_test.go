package netns

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice.io/sluice/test/apps/echo"
)

// traffic is what runs while a test kills things: connections in the kernel's
// care and connections in Envoy's, long ones and new ones.
type traffic struct {
	kernel, envoy []*load
}

// startTraffic declares service "front", whose TCP and UDP ports the kernel
// balances and whose HTTP and gRPC ports Envoy routes to v2, and starts a load of
// each kind. The route matters: whoever reaches front has gone around Envoy.
func startTraffic(s *space, c *client) *traffic {
	t := s.t
	s.frontToV2()
	s.apply("grpc", `
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: grpc, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: front, port: 90}]
  rules:
  - backendRefs: [{name: v2, port: 90}]
`)
	s.settle()
	long, err := c.tcp(4, "front:70")
	if err != nil {
		t.Fatal(err)
	}
	chat, err := c.grpc(t, 6, "front:90").Chat(t.Context(), echo.GRPCService)
	if err != nil {
		t.Fatal(err)
	}
	return &traffic{
		kernel: []*load{
			startLoad(t, "a long TCP connection", 1, func() error { return long.Say("still here") }),
			startLoad(t, "new TCP connections", 1, wantName(func() string { return c.tcpName(4, "front:70") }, "front")),
			startLoad(t, "new TCP connections over IPv6", 1, wantName(func() string { return c.tcpName(6, "front:70") }, "front")),
			startLoad(t, "datagrams", 1, wantName(func() string { return c.udpName(4, "front:53") }, "front")),
		},
		envoy: []*load{
			startLoad(t, "a long gRPC stream", 1, func() error { return sayOn(chat, "v2") }),
			startLoad(t, "requests on kept connections", 1, wantName(func() string { return c.getName(4, request{To: "http://front/"}) }, "v2")),
			startLoad(t, "requests on new connections", 1, wantName(func() string { return c.getName(6, request{To: "http://front/", Fresh: true}) }, "v2")),
		},
	}
}

func (tr *traffic) all() []*load { return slices.Concat(tr.kernel, tr.envoy) }

func sayOn(chat *echo.Chat, want string) error {
	seen, err := chat.Say("still here")
	if err == nil && seen.Name != want {
		err = fmt.Errorf("the stream is with %s, want %s", seen.Name, want)
	}
	return err
}

// TestKillSluice proves that killing sluice with SIGKILL is noticed by nobody:
// long connections live, new ones work, in the kernel and through Envoy; that
// the next sluice takes over without a trace, the same Envoy included; and that
// edits made in between, and after, take effect.
func TestKillSluice(t *testing.T) {
	t.Parallel()
	w := ownWorld(t)
	s := w.space(t)
	c := s.client("client")
	tr := startTraffic(s, c)
	progressAll(t, 20, tr.all()...)
	envoy, err := w.EnvoyPIDs()
	if err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		if err := w.Sluice().Kill(); err != nil {
			t.Fatal(err)
		}
		progressAll(t, 100, tr.all()...)
		name := fmt.Sprintf("new-%d", round)
		s.each(name)
		if err := w.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.settle()
		progressAll(t, 50, tr.all()...)
		if got := c.tcpName(4, name+":70"); got != name {
			t.Errorf("a service declared while sluice was dead: %s, want %s", got, name)
		}
	}
	now, err := w.EnvoyPIDs()
	if err != nil || !slices.Equal(now, envoy) {
		t.Errorf("Envoy is %v (%v), was %v: it should have lived on", now, err, envoy)
	}
	stopClean(t, tr.all()...)
	s.apply("route", httpRoute("away", "front", "  - backendRefs: [{name: new-0, port: 80}]\n"))
	s.settle()
	if got := c.getName(4, request{To: "http://front/"}); got != "new-0" {
		t.Errorf("an edit after the restart: %s, want new-0", got)
	}
}

// TestStopSluice proves the same for an orderly stop.
func TestStopSluice(t *testing.T) {
	t.Parallel()
	w := ownWorld(t)
	s := w.space(t)
	c := s.client("client")
	tr := startTraffic(s, c)
	progressAll(t, 20, tr.all()...)
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	progressAll(t, 100, tr.all()...)
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	progressAll(t, 50, tr.all()...)
	stopClean(t, tr.all()...)
}

// TestKillEnvoy proves that an Envoy that is killed comes back, that what the
// kernel balances doesn't notice, and that what Envoy should have handled fails
// meanwhile but never goes around it.
func TestKillEnvoy(t *testing.T) {
	t.Parallel()
	w := ownWorld(t)
	s := w.space(t)
	c := s.client("client")
	tr := startTraffic(s, c)
	progressAll(t, 20, tr.all()...)
	for _, l := range tr.envoy {
		l.stop()
	}
	bypass := watchBypass(t, c)
	for range 3 {
		if err := w.KillEnvoy(); err != nil {
			t.Fatal(err)
		}
		s.eventually("Envoy is back", wantName(func() string { return c.getName(4, request{To: "http://front/", Fresh: true}) }, "v2"))
		progressAll(t, 20, tr.kernel...)
	}
	stopClean(t, append(tr.kernel, bypass...)...)
	if err := w.WaitReady(t.Context()); err != nil {
		t.Error(err)
	}
	if st := s.status(); st.Envoy.Restarts < 3 {
		t.Errorf("status tells of %d restarts of Envoy, want 3", st.Envoy.Restarts)
	}
}

// watchBypass starts loads that pass as long as nobody but v2 answers; not to be
// answered is no failure here.
func watchBypass(t *testing.T, c *client) []*load {
	t.Helper()
	var loads []*load
	for _, family := range []int{4, 6} {
		loads = append(loads, startLoad(t, fmt.Sprintf("requests over IPv%d that may fail", family), 1, func() error {
			a, err := c.try(family, request{To: "http://front/", Fresh: true, Within: 2 * time.Second})
			if err == nil && a.Seen != nil && a.Seen.Name != "v2" {
				return fmt.Errorf("%s answered: the request has gone around Envoy", a.Seen.Name)
			}
			return nil
		}))
	}
	return loads
}

// TestKillBoth proves that with sluice and Envoy both dead the kernel goes on
// balancing, and that nothing goes around Envoy; and that sluice brings all back.
func TestKillBoth(t *testing.T) {
	t.Parallel()
	w := ownWorld(t)
	s := w.space(t)
	c := s.client("client")
	tr := startTraffic(s, c)
	progressAll(t, 20, tr.all()...)
	for _, l := range tr.envoy {
		l.stop()
	}
	bypass := watchBypass(t, c)
	if err := w.Sluice().Kill(); err != nil {
		t.Fatal(err)
	}
	if err := w.KillEnvoy(); err != nil {
		t.Fatal(err)
	}
	progressAll(t, 100, tr.kernel...)
	for _, family := range []int{4, 6} {
		if a, err := c.try(family, request{To: "http://front/", Fresh: true, Within: 2 * time.Second}); err == nil {
			t.Errorf("with Envoy dead a request over IPv%d was answered: %d %s", family, a.Code, a.Body)
		}
	}
	progressAll(t, 3, bypass...)
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.eventually("Envoy is back", wantName(func() string { return c.getName(4, request{To: "http://front/", Fresh: true}) }, "v2"))
	progressAll(t, 50, tr.kernel...)
	stopClean(t, append(tr.kernel, bypass...)...)
}

// TestSecondSluice proves that a second sluice that shares any place with the first refuses
// to start and to uninstall, names it, and disturbs nothing.
func TestSecondSluice(t *testing.T) {
	t.Parallel()
	w := ownWorld(t)
	own := []string{
		"--run-dir", filepath.Join(t.TempDir(), "run"), "--bpffs", w.BPFFS + "-other",
		"--cgroup-root", filepath.Join(w.CgroupRoot, "pods"), "--state-dir", filepath.Join(t.TempDir(), "state"),
	}
	for i, shared := range []string{w.RunDir, w.BPFFS, w.CgroupRoot, w.StateDir} {
		flags := slices.Clone(own)
		flags[2*i+1] = shared
		where := shared
		if shared == w.CgroupRoot {
			where = filepath.Dir(w.EnvoyCgroup())
		}
		want := "runs with " + where
		err := w.failedRun(t, w.Programs.Envoy, nil, flags...)
		if !strings.Contains(err.Error(), "another sluice "+want+": stop it, or give this one its own --run-dir, --bpffs, --cgroup-root and --state-dir") {
			t.Errorf("a second sluice says %q, want %q", err, want)
		}
		if out, err := w.Uninstall(t.Context(), flags...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("uninstall of what is another's: %v, want %q\n%s", err, want, out)
		}
		if err := w.settle(); err != nil {
			t.Error(err)
		}
	}
	if out, err := w.Uninstall(t.Context(), own...); err != nil {
		t.Errorf("uninstall of the second's own: %v\n%s", err, out)
	}
	if err := w.settle(); err != nil {
		t.Error(err)
	}
}
