package install_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice.io/sluice/test/install"
)

// agentIsForced: an agent whose pod is deleted by force is stopped without the right to
// ask why, while the next one is started: the data path is that one's.
func (w *world) agentIsForced(t *testing.T) {
	node := w.numberOf(t, w.holders(t)[0])
	was := w.processOf(t, node, "agent")
	before := w.pins(t, node)
	c, pins := w.steady(t, 1, steadyPause), w.watchPins(t, node, before)
	w.kubectl(t, "", "-n", install.Namespace, "delete", "pod", w.agentOn(t, node), "--force", "--grace-period=0")
	eventually(t, "the agent to end", func() error {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", was)); err == nil {
			return fmt.Errorf("process %d is there", was)
		}
		return nil
	})
	w.must(t, w.release.Ready(w.ctx, patience))
	w.routeIsServed(t, "after-force")
	pins.expectNoGap(t)
	c.expectNoFailure(t)
	if now := w.pins(t, node); !slices.Equal(now, before) {
		t.Errorf("pins were\n%s\nnow\n%s", strings.Join(before, "\n"), strings.Join(now, "\n"))
	}
}

// nodeIsNotWanted: a node that the agents' DaemonSet no longer selects is left without a
// trace, and others are not; when it is selected again, it has an agent again.
func (w *world) nodeIsNotWanted(t *testing.T) {
	const label = "example.com/without-sluice"
	w.kubectl(t, "", "label", "node", "node1", label+"=no")
	w.kubectl(t, "", "label", "node", "node2", label+"=yes")
	w.kubectl(t, "", "-n", install.Namespace, "patch", "daemonset", "sluice-agent", "--type=merge", "-p",
		`{"spec":{"template":{"spec":{"nodeSelector":{"`+label+`":"no"}}}}}`)
	eventually(t, "node 2 to be without an agent", func() error {
		if pid, err := w.findProcess(2, "agent"); err == nil {
			return fmt.Errorf("process %d", pid)
		}
		return nil
	})
	if left := w.pins(t, 2); len(left) > 0 {
		t.Errorf("node 2 keeps\n%s", strings.Join(left, "\n"))
	}
	if len(w.pins(t, 1)) == 0 {
		t.Error("node 1 has lost its pins as well")
	}
	w.kubectl(t, "", "label", "node", "node2", "--overwrite", label+"=no")
	eventually(t, "node 2 to have pins again", func() error {
		pins, err := w.findPins(w.ctx, 2)
		if err == nil && len(pins) == 0 {
			err = errors.New("there are none")
		}
		return err
	})
	w.kubectl(t, "", "-n", install.Namespace, "patch", "daemonset", "sluice-agent", "--type=json", "-p",
		`[{"op":"remove","path":"/spec/template/spec/nodeSelector/example.com~1without-sluice"}]`)
	w.must(t, w.release.Ready(w.ctx, patience))
}

// uninstalls in each way: what is the release's goes, what is the user's stays, and the
// next installation finds it.
func (w *world) uninstalls(t *testing.T) {
	hooks, err := w.release.Helm(w.ctx, "get", "hooks", install.Name, "--namespace", install.Namespace)
	if err != nil || !strings.Contains(hooks, "sluice-withdraw") {
		t.Errorf("the release has no hook: %v\n%s", err, hooks)
	}
	for _, way := range []struct {
		name string
		do   func() error
	}{
		{"helm", func() error { return w.release.Uninstall(w.ctx) }},
		{"helm without hooks", func() error {
			_, err := w.release.Helm(w.ctx, "uninstall", install.Name, "--namespace", install.Namespace, "--no-hooks")
			return err
		}},
		{"kubectl delete namespace", func() error {
			_, err := w.cluster.Kubectl(w.ctx, "delete", "namespace", install.Namespace, "--timeout", patience.String())
			return err
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			w.must(t, way.do())
			w.podsGo(t)
			w.nodesAreClean(t)
			if way.name != "kubectl delete namespace" {
				w.clusterIsClean(t)
			}
			w.kubectl(t, "", "get", "addresspool/default", "gateway/front", "service/front-sluice", "gatewayclass/sluice") // it fails if one is missing
			w.namespaceIsPrivileged(t)
			w.must(t, w.release.Install(w.ctx))
			w.must(t, w.release.Ready(w.ctx, patience))
			w.answers(t, "/", 200)
		})
	}
}

// namespaceIsPrivileged has the release's namespace be there, with the label that
// went with it: agents and Envoys would be refused.
func (w *world) namespaceIsPrivileged(t *testing.T) {
	t.Helper()
	w.kubectl(t, fmt.Sprintf(`apiVersion: v1
kind: Namespace
metadata: {name: %s, labels: {pod-security.kubernetes.io/enforce: privileged}}
`, install.Namespace), "apply", "--server-side", "--force-conflicts", "-f", "-")
}

func (w *world) podsGo(t *testing.T) {
	eventually(t, "pods to go", func() error {
		out, err := w.cluster.Kubectl(w.ctx, "-n", install.Namespace, "get", "pods", "-o", "name")
		if err == nil && out != "" {
			err = fmt.Errorf("there are %s", out)
		}
		return err
	})
}

// clusterIsClean: no object of the release is left.
func (w *world) clusterIsClean(t *testing.T) {
	for _, what := range []string{"clusterrole/sluice-agent", "clusterrole/sluice-controller", "namespace/sluice-secrets"} {
		eventually(t, what+" to go", func() error {
			out, err := w.cluster.Kubectl(w.ctx, "get", what, "--ignore-not-found", "-o", "name")
			if err == nil && out != "" {
				err = fmt.Errorf("%s is there", out)
			}
			return err
		})
	}
	for _, kind := range []string{"jobs", "serviceaccounts", "roles", "rolebindings"} {
		out := w.kubectl(t, "", "-n", install.Namespace, "get", kind, "-o", "name")
		if strings.Contains(out, "sluice") {
			t.Errorf("left behind are\n%s", out)
		}
	}
}

// nodesAreClean: nothing of Sluice is left on any node.
func (w *world) nodesAreClean(t *testing.T) {
	for i := 1; i <= w.cluster.Nodes(); i++ {
		if pid, err := w.findProcess(i, ""); err == nil {
			t.Errorf("node %d: process %d of Sluice or Envoy runs on", i, pid)
		}
		left, err := w.cluster.InNode(w.ctx, i, "/usr/bin/find", "/sys/fs/bpf", "/run/sluice", "/var/lib/sluice", "/sys/class/net/sluice0", "-mindepth", "1",
			"!", "-path", "/sys/fs/bpf/*.debug") // which the kernel may put there
		if left != "" {
			t.Errorf("node %d: left behind are\n%s%v", i, left, err)
		}
	}
}

// numberOf is the number in a node's name.
func (w *world) numberOf(t *testing.T, name string) int {
	t.Helper()
	var number int
	if _, err := fmt.Sscanf(name, "node%d", &number); err != nil {
		t.Fatalf("%q is no node: %v", name, err)
	}
	return number
}

// agentOn is the pod of a node's agent.
func (w *world) agentOn(t *testing.T, node int) string {
	return w.kubectl(t, "", "-n", install.Namespace, "get", "pods", "-l", "app.kubernetes.io/component=agent",
		"--field-selector", fmt.Sprintf("spec.nodeName=node%d", node), "-o", "jsonpath={.items[0].metadata.name}")
}

// pins are Sluice's files on a node's bpf filesystem, by name.
func (w *world) pins(t *testing.T, node int) []string {
	t.Helper()
	pins, err := w.findPins(w.ctx, node)
	w.must(t, err)
	return pins
}

func (w *world) findPins(ctx context.Context, node int) ([]string, error) {
	out, err := w.cluster.InNode(ctx, node, "/usr/bin/find", "/sys/fs/bpf", "-path", "/sys/fs/bpf/sluice/*", "-type", "f")
	return slices.Sorted(strings.FieldsSeq(out)), err
}

// pinWatch looks at the pins of a node all the time.
type pinWatch struct {
	stop   func()
	looked int
	errs   []error
}

func (w *world) watchPins(t *testing.T, node int, want []string) *pinWatch {
	if len(want) == 0 {
		t.Fatalf("node %d has no pins", node)
	}
	p := &pinWatch{}
	ctx, cancel := context.WithCancel(w.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			have, err := w.findPins(ctx, node)
			if err == nil {
				err = missingPins(want, have)
			}
			p.looked++
			if err != nil && ctx.Err() == nil {
				p.errs = append(p.errs, fmt.Errorf("%s: %w", time.Now().Format("15:04:05.000"), err))
			}
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	p.stop = func() { cancel(); <-done }
	t.Cleanup(p.stop)
	return p
}

func missingPins(want, have []string) error {
	var errs []error
	for _, pin := range want {
		if !slices.Contains(have, pin) {
			errs = append(errs, fmt.Errorf("%s is missing", pin))
		}
	}
	return errors.Join(errs...)
}

func (p *pinWatch) expectNoGap(t *testing.T) {
	t.Helper()
	p.stop()
	t.Logf("looked %d times at the pins", p.looked)
	if p.looked < 10 || len(p.errs) > 0 {
		t.Errorf("looked %d times, in vain %d:\n%v", p.looked, len(p.errs), errors.Join(p.errs[:min(5, len(p.errs))]...))
	}
}
