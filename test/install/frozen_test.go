package install_test

import (
	"fmt"
	"strings"
	"testing"

	"sluice.io/sluice/test/install"
)

// agentsAreFrozen: while no node's agent works, what is served is served on, and says
// that it is; a new Gateway says that it is not, until an agent works.
func (w *world) agentsAreFrozen(t *testing.T) {
	c := w.steady(t, 1, steadyPause)
	holders := w.holders(t)
	thaw := make([]func(), w.cluster.Nodes())
	for i := range thaw {
		thaw[i] = w.freeze(t, i+1, "agent")
	}
	// The kubelet starts them anew after a minute.
	eventually(t, "the agents not to be ready", func() error {
		out, err := w.cluster.Kubectl(w.ctx, "-n", install.Namespace, "get", "pods", "-l", "app.kubernetes.io/component=agent",
			"-o", `jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}`)
		if err == nil && strings.Contains(out, "True") {
			err = fmt.Errorf("they are: %s", out)
		}
		return err
	})
	const waits = "of no node that serves the agent is ready"
	w.kubectl(t, gatewayCalled("late"), "apply", "-f", "-")
	eventually(t, "the new Gateway not to be programmed", func() error {
		if err := w.condition("gateway/late", ".status", "Programmed", "False Pending"); err != nil {
			return err
		}
		return w.says("gateway/late", waits)
	})
	eventually(t, "the old Gateway to say that it has no agent", func() error { return w.says("gateway/front", waits) })
	w.must(t, w.condition("gateway/front", ".status", "Programmed", "True Programmed"))
	w.must(t, w.condition("gateway/front", listeners, "Programmed", "True Programmed"))
	if now := w.holders(t); fmt.Sprint(now) != fmt.Sprint(holders) {
		t.Errorf("the addresses were at %q and are at %q", holders, now)
	}
	for _, f := range thaw {
		f()
	}
	eventually(t, "the new Gateway to be programmed", func() error {
		return w.condition("gateway/late", ".status", "Programmed", "True Programmed")
	})
	for _, addr := range w.addressesOf(t, "late", len(w.addresses)) {
		eventually(t, "the new Gateway to answer", func() error { return w.get(w.cluster.Control(), at(addr, "", "/"), 404) })
	}
	c.expectNoFailure(t)
	w.kubectl(t, "", "delete", "gateway/late")
	w.must(t, w.release.Ready(w.ctx, patience))
	eventually(t, "the old Gateway to have nothing to say of agents", func() error {
		if w.says("gateway/front", waits) == nil {
			return fmt.Errorf("it says %q", waits)
		}
		return nil
	})
}

// says looks for a text in the message of an object's condition Programmed.
func (w *world) says(object, text string) error {
	out, err := w.cluster.Kubectl(w.ctx, "get", object, "-o", `jsonpath={.status.conditions[?(@.type=="Programmed")].message}`)
	if err == nil && !strings.Contains(out, text) {
		err = fmt.Errorf("%s says %q, want %q", object, out, text)
	}
	return err
}
