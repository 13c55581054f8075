package netns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice.io/sluice/test/apps/dialer"
	"sluice.io/sluice/test/netns/lab"
)

// world is a node with a sluice of its own, and a client in its mesh by which
// tests find out that a change has reached the kernel.
type world struct {
	*lab.Node
	probe    *dialer.Client
	probePod *lab.Pod
	// settled counts calls of settle.
	settled atomic.Int64
	// gateways tells that the folder has what all gateways need.
	gateways sync.Once
}

// newWorld makes a node; nothing runs there yet.
func newWorld(name string) (*world, error) {
	n, err := machine.lab.Node(name, machine.programs)
	if err != nil {
		return nil, err
	}
	w := &world{Node: n}
	pod, err := n.Pod("probe")
	if err != nil {
		return nil, err
	}
	w.probePod = pod
	if w.probe, err = pod.Dialer(); err != nil {
		return nil, err
	}
	// What the mesh doesn't know the probe learns at once, without a packet.
	if err := pod.Unreachable(netip.MustParsePrefix("10.96.0.0/12")); err != nil {
		return nil, err
	}
	return w, n.Folder.Write("probe.yaml", pod.WorkloadYAML("slt-probe", "probe"))
}

// ownWorld is a world that one test has for itself, because it kills or removes
// what others would miss. Sluice runs in it.
func ownWorld(t *testing.T) *world {
	t.Helper()
	w := idleWorld(t)
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// idleWorld is an ownWorld in which sluice does not run yet.
func idleWorld(t *testing.T) *world {
	t.Helper()
	prepare(t)
	w, err := newWorld(testName(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			w.explainFailure(t)
		}
		if w.Sluice() != nil {
			if err := w.healthy(); err != nil {
				t.Error(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// settle waits until everything that was written to the folder so far is in
// force: it adds a service without endpoints, which clients of the mesh are
// refused by, and others cannot reach.
func (w *world) settle() error {
	vip := w.VIP()
	svc := &lab.Service{
		Namespace: "slt-probe", Name: fmt.Sprintf("settle-%d", w.settled.Add(1)),
		VIP: vip, Ports: []lab.Port{{Port: 9}},
	}
	file := svc.Name + ".yaml"
	if err := w.Folder.Write(file, svc.YAML()); err != nil {
		return err
	}
	err := lab.Poll(30*time.Second, func() error {
		c, err := w.probe.Dial(context.Background(), "tcp", netip.AddrPortFrom(vip.V4, 9).String())
		if err == nil {
			_ = c.Close()
			return lab.Permanent(errors.New("somebody serves the probe's service"))
		}
		if refused(err) {
			return nil
		}
		return fmt.Errorf("a change has not reached the kernel: %w", err)
	})
	return errors.Join(err, w.Folder.Remove(file))
}

// healthy tells whether sluice has met a data race or a panic.
func (w *world) healthy() error {
	log := w.Log()
	for _, bad := range []string{"WARNING: DATA RACE", "panic:", "fatal error:"} {
		if i := strings.Index(log, bad); i >= 0 {
			return fmt.Errorf("sluice's log has:\n%s", log[i:min(len(log), i+4000)])
		}
	}
	return nil
}

// explainFailure logs what an engineer would look at first.
func (w *world) explainFailure(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	status, err := w.CLI(ctx, "status", "--run-dir", w.RunDir)
	t.Logf("sluice status (%v):\n%s\nsluice's log ends:\n%s", err, status, w.LogTail(25))
}
