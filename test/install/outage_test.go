package install_test

import (
	"crypto/x509"
	"flag"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice.io/sluice/test/install"
)

// outage is how long the API server is away.
var outage = flag.Duration("outage", 0, "how long the API server is away in the step NoAPIServer; no longer than the step needs when 0")

// noAPIServer: traffic goes on without one, also through new agents, which have
// what the last ones kept. When it is back, what changed just before and since
// then arrives, and nothing that the controller had made was made anew.
func (w *world) noAPIServer(t *testing.T) {
	before, conditions := w.owned(t), w.conditionsOf(t)
	pause := steadyPause
	if *outage > 0 {
		pause = 50 * time.Millisecond
	}
	c := w.steady(t, 1, pause)
	renewed := w.renew(t)
	w.kubectl(t, "", "scale", "deployment/echo", fmt.Sprintf("--replicas=%d", 2*w.cluster.Nodes()))
	w.must(t, w.cluster.StopComponent(w.ctx, "apiserver", syscall.SIGKILL))
	// Without one it loses its Lease, ends, and starts anew later, as Sluice's own
	// does: there is one only here, and so it has none. One that remembered when it
	// last heard of the nodes would take all of them for gone afterwards.
	w.must(t, w.cluster.StopComponent(w.ctx, "controller-manager", syscall.SIGKILL))
	w.withoutAPIServer(t, c)
	w.must(t, w.cluster.StartComponent(w.ctx, "apiserver"))
	w.must(t, w.cluster.StartComponent(w.ctx, "controller-manager"))
	w.changesArrive(t, renewed)
	if after := w.owned(t); after != before {
		t.Errorf("the Gateway had\n%s\nand has\n%s", before, after)
	}
	eventually(t, "conditions to say nothing of agents that are not ready", func() error {
		if after := w.conditionsOf(t); after != conditions {
			return fmt.Errorf("they were\n%s\nand are\n%s", conditions, after)
		}
		return nil
	})
	c.expectNoFailure(t)
}

// withoutAPIServer spends the time of the outage. Agents are killed at its
// beginning, and at the end of a long one.
func (w *world) withoutAPIServer(t *testing.T, c *steady) {
	start := time.Now()
	w.agentsStartAgain(t)
	w.answers(t, "/after-leader", 200)
	w.nodesSay(t, apiServerIsAway, true)
	t.Log("all agents have started again without the API server")
	for time.Since(start) < *outage {
		select {
		case <-w.ctx.Done():
			t.Fatal(w.ctx.Err())
		case <-time.After(min(time.Minute, *outage-time.Since(start))):
			t.Logf("%s without the API server: %s", time.Since(start).Round(time.Second), c.told())
		}
	}
	if *outage > 0 {
		w.agentsStartAgain(t)
	}
	t.Logf("the API server was away for %s: %s", time.Since(start).Round(time.Second), c.told())
}

// changesArrive: a route, a certificate, endpoints that come and go, a Gateway
// that is new, and all parts of Sluice.
func (w *world) changesArrive(t *testing.T, renewed *x509.CertPool) {
	w.routeIsServed(t, "after-outage")
	w.servesTLS(t, renewed)
	w.kubectl(t, "", "rollout", "status", "deployment/echo", "--timeout", patience.String())
	w.kubectl(t, "", "scale", "deployment/echo", fmt.Sprintf("--replicas=%d", w.cluster.Nodes()))
	w.kubectl(t, gatewayCalled("late"), "apply", "-f", "-")
	for _, addr := range w.addressesOf(t, "late", len(w.addresses)) {
		eventually(t, "a Gateway that was made after the outage", func() error { return w.get(w.cluster.Control(), at(addr, "", "/"), 404) })
	}
	w.kubectl(t, "", "delete", "gateway/late")
	w.must(t, w.release.Ready(w.ctx, patience))
	w.nodesSay(t, apiServerIsAway, false)
}

// apiServerIsAway is what an agent says of itself: no condition of an object can
// be written then.
const apiServerIsAway = "the API server cannot be watched now: what is known of it stays in force"

// nodesSay waits until each node's agent is ready, and mentions something or not.
func (w *world) nodesSay(t *testing.T, what string, says bool) {
	t.Helper()
	for i := 1; i <= w.cluster.Nodes(); i++ {
		eventually(t, "the node's status", func() error {
			out, err := w.cluster.InNode(w.ctx, i, w.release.Binary, "status")
			if err == nil && strings.Contains(out, what) != says {
				err = fmt.Errorf("want %v of %q in\n%s", says, what, out)
			}
			return err
		})
	}
}

// agentsStartAgain kills each node's agent, and waits until the next one is ready.
func (w *world) agentsStartAgain(t *testing.T) {
	t.Helper()
	for i := 1; i <= w.cluster.Nodes(); i++ {
		was := w.processOf(t, i, "agent")
		w.must(t, syscall.Kill(was, syscall.SIGKILL))
		eventually(t, "the kubelet to start the agent again", func() error {
			if now, err := w.findProcess(i, "agent"); err != nil || now == was {
				return fmt.Errorf("agent of node %d is process %d: %w", i, now, err)
			}
			return w.get(w.cluster.Node(i), "http://127.0.0.1:15020/readyz", 200)
		})
	}
}

// gatewayCalled is a Gateway with an HTTP listener.
func gatewayCalled(name string) string {
	return fmt.Sprintf(`---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: %s}
spec:
  gatewayClassName: %s
  listeners: [{name: http, port: 80, protocol: HTTP}]
`, name, install.GatewayClass)
}
