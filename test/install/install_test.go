package install_test

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice.io/sluice/test/cluster"
	"sluice.io/sluice/test/install"
)

// TestLife is the life of an installation, in one cluster: it is refused without
// the Gateway API, installed, disturbed in every way, upgraded, rolled back,
// removed in each way, and installed again. All the time a client asks a Gateway.
//
// Most steps run by themselves after the first: -run 'TestLife/(Install|Gateway|STEP)$'.
// With -long and with -outage 10m steps do more than there is time for every day.
func TestLife(t *testing.T) {
	if testing.Short() {
		t.Skip("needs root and a cluster")
	}
	w := newWorld(t)
	steps := []struct {
		name string
		run  func(*testing.T)
	}{
		{"Install", w.installs},
		{"LeastPrivilege", w.leastPrivilege},
		{"LoadBalancer", w.loadBalancer},
		{"Gateway", w.serves},
		{"Hitless", w.hitless},
		{"BadInput", w.badInput},
		{"Rejected", w.rejected},
		{"AgentRestarts", w.agentRestarts},
		{"AgentIsForced", w.agentIsForced},
		{"AgentsAreFrozen", w.agentsAreFrozen},
		{"EnvoyRestarts", w.envoyRestarts},
		{"ClassGoes", w.classGoes},
		{"LeaderDies", w.leaderDies},
		{"NoAPIServer", w.noAPIServer},
		{"NodeLeaves", w.nodeLeaves},
		{"Upgrade", w.upgrades},
		{"NodeIsNotWanted", w.nodeIsNotWanted},
		{"CommandLine", w.commandLine},
		{"Uninstall", w.uninstalls},
	}
	for _, s := range steps {
		if !t.Run(s.name, s.run) {
			w.explain(t)
			return // each builds on what was before
		}
	}
}

// installs: the chart says what is missing; then it installs, and all is ready.
func (w *world) installs(t *testing.T) {
	w.installRefused(t, "has not got the Gateway API")
	w.must(t, w.cluster.InstallGatewayAPI(w.ctx, "experimental"))
	w.podSecurity(t)
	w.must(t, w.release.Ready(w.ctx, patience))
}

// podSecurity: the cluster enforces the level restricted, unless a namespace says
// otherwise. The controller is such a pod; agents and Envoys are not, and start as
// soon as their namespace is labelled.
func (w *world) podSecurity(t *testing.T) {
	const label = "pod-security.kubernetes.io/enforce"
	w.kubectl(t, "", "create", "namespace", install.Namespace)
	w.kubectl(t, "", "label", "namespace", install.Namespace, label+"=baseline")
	w.installRefused(t, "enforces the Pod Security level baseline")
	w.kubectl(t, "", "label", "namespace", install.Namespace, label+"-")
	w.must(t, w.release.Install(w.ctx))
	w.kubectl(t, "", "-n", install.Namespace, "rollout", "status", "deployment/sluice-controller", "--timeout", patience.String())
	for _, set := range []string{"sluice-agent", "sluice-envoy"} {
		eventually(t, set+" to be refused", func() error {
			out, err := w.cluster.Kubectl(w.ctx, "-n", install.Namespace, "events", "--for", "daemonset/"+set)
			if err == nil && !strings.Contains(out, `violates PodSecurity "restricted:latest"`) {
				err = fmt.Errorf("its events are\n%s", out)
			}
			return err
		})
	}
	w.kubectl(t, "", "label", "namespace", install.Namespace, label+"=privileged")
	// Kubernetes tries again by itself, but with a back-off of some 20 s by now; it looks at once at what changes.
	w.kubectl(t, "", "-n", install.Namespace, "annotate", "daemonsets", "--all", "example.com/look=again")
}

// installRefused checks that the chart can't be installed, and that it says why.
func (w *world) installRefused(t *testing.T, why string) {
	t.Helper()
	if err := w.release.Install(w.ctx); err == nil || !strings.Contains(err.Error(), why) {
		t.Fatalf("installed: %v, want an error with %q", err, why)
	}
}

// leastPrivilege looks at what runs, not at the chart: no container is privileged,
// and each part may do in the API server what it needs and not what it doesn't.
func (w *world) leastPrivilege(t *testing.T) {
	privileged := w.kubectl(t, "", "-n", install.Namespace, "get", "pods", "-o",
		"jsonpath={range .items[*].spec.containers[*]}{.securityContext.privileged}{.securityContext.readOnlyRootFilesystem} {end}")
	for _, f := range strings.Fields(privileged) {
		if f != "true" { // not privileged, and read-only
			t.Errorf("privileged and readOnlyRootFilesystem of the containers: %s", privileged)
			break
		}
	}
	const account = "--as=system:serviceaccount:" + install.Namespace + ":sluice-"
	for _, c := range []struct {
		who, verb, what, namespace string
		may                        bool
	}{
		{"agent", "list", "secrets", "sluice-secrets", true},
		{"agent", "list", "secrets", "default", false},
		{"agent", "list", "secrets", install.Namespace, false},
		{"agent", "list", "configmaps", "default", false},
		{"agent", "patch", "gateways/status", "default", false},
		{"agent", "watch", "httproutes", "default", true},
		{"agent", "create", "nodereports", "default", true},
		{"agent", "patch", "nodes", "default", false},
		{"envoy", "list", "services", "default", false},
		{"controller", "get", "secrets", "default", true},
		{"controller", "patch", "secrets", "sluice-secrets", true},
		{"controller", "patch", "secrets", "default", false},
		{"controller", "patch", "gateways/status", "default", true},
		{"controller", "patch", "gateways", "default", false},
		{"controller", "delete", "addresspools", "default", false},
		{"controller", "update", "gateways/finalizers", "default", false},
	} {
		what, part, _ := strings.Cut(c.what, "/")
		out, _ := w.cluster.Kubectl(w.ctx, "auth", "can-i", c.verb, what, "--subresource="+part, "-n", c.namespace, account+c.who) // "no" is an exit code, too
		if may := strings.TrimSpace(out) == "yes"; may != c.may {
			t.Errorf("%s may %s %s in %s: %v", c.who, c.verb, c.what, c.namespace, may)
		}
	}
	w.controllerIsBounded(t)
}

// serves: a Gateway gets an address of each family from the pool, and answers there.
func (w *world) serves(t *testing.T) {
	w.must(t, w.release.Pool(w.ctx))
	trust := w.renew(t)
	w.kubectl(t, backends(w.cluster.Nodes())+gateway+route("echo", "/"), "apply", "-f", "-")
	w.kubectl(t, "", "rollout", "status", "deployment/echo", "--timeout", patience.String())
	w.addresses = w.addressesOf(t, "front", 2)
	for i, is4 := range []bool{true, false} {
		if a, err := netip.ParseAddr(w.addresses[i]); err != nil || a.Is4() != is4 {
			t.Fatalf("the Gateway has the addresses %s, want one of each family (%v)", w.addresses, err)
		}
	}
	w.answers(t, "/", 200)
	w.answers(t, "/other", 200)
	w.servesTLS(t, trust)
}

// addressesOf waits until a Gateway has so many addresses.
func (w *world) addressesOf(t *testing.T, gateway string, count int) (all []string) {
	t.Helper()
	eventually(t, "Gateway "+gateway+" to have addresses", func() error {
		out, err := w.cluster.Kubectl(w.ctx, "get", "gateway", gateway, "-o", "jsonpath={.status.addresses[*].value}")
		if all = strings.Fields(out); err == nil && len(all) != count {
			err = fmt.Errorf("it has %q, want %d", all, count)
		}
		return err
	})
	return all
}

// agentRestarts: new agents take over, and nobody notices.
func (w *world) agentRestarts(t *testing.T) {
	c := w.steady(t, 1, steadyPause)
	w.kubectl(t, "", "-n", install.Namespace, "rollout", "restart", "daemonset/sluice-agent")
	w.kubectl(t, "", "-n", install.Namespace, "rollout", "status", "daemonset/sluice-agent", "--timeout", patience.String())
	c.expectNoFailure(t)
	w.routeIsServed(t, "after-agents")
}

// leaderDies: the other controller goes on, with what the first did not do.
func (w *world) leaderDies(t *testing.T) {
	leader := w.leader(t)
	w.kubectl(t, "", "-n", install.Namespace, "delete", "pod", leader, "--grace-period=0", "--force")
	w.kubectl(t, route("after-leader", "/after-leader"), "apply", "-f", "-")
	w.kubectl(t, "", "wait", "httproute/after-leader", "--timeout", patience.String(),
		`--for=jsonpath={.status.parents[0].conditions[?(@.type=="Accepted")].status}=True`)
	if now := w.leader(t); now == leader {
		t.Errorf("%s leads on: it was killed", now)
	}
	w.answers(t, "/after-leader", 200)
}

// nodeLeaves: the other node takes the addresses over, and gives them back to
// nobody who doesn't need them.
func (w *world) nodeLeaves(t *testing.T) {
	holder := w.holders(t)[0]
	number := w.numberOf(t, holder)
	start := time.Now()
	w.must(t, w.cluster.StopNode(w.ctx, number))
	w.answers(t, "/", 200)
	t.Logf("the addresses answer again after %s", time.Since(start).Round(time.Second))
	for i, now := range w.holders(t) {
		if now == holder || now == "" {
			t.Errorf("node %q has the address %s, of which %s was cut off", now, w.addresses[i], holder)
		}
	}
	w.must(t, w.cluster.StartNode(w.ctx, number))
	w.must(t, w.release.Ready(w.ctx, patience))
	w.answers(t, "/", 200)
}

// name of the cluster; another one lets two runs be side by side.
var name = flag.String("cluster", "slci", "name of the test's cluster")

func newWorld(t *testing.T) *world {
	ctx := t.Context()
	c, err := cluster.Create(ctx, cluster.Config{
		Name: *name, Ranges: cluster.RangesOf(29), Images: []string{"echo-basic"}, Progress: lines{t},
		Args: map[string][]string{
			"apiserver": {"--admission-control-config-file=" + hardened(t)},
			// How long a node that is gone counts as ready: 50 s unless told.
			"controller-manager": {"--node-monitor-grace-period=20s"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Down(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	})
	r, err := install.Prepare(ctx, c, lines{t})
	if err != nil {
		t.Fatal(err)
	}
	// All nodes' Envoys are replaced at once, and old ones have 20 s to end, or a test
	// would be mostly waiting.
	r.Set = []string{"envoy.maxSurge=100%", "envoy.terminationGracePeriodSeconds=35"}
	return &world{ctx: ctx, cluster: c, release: r}
}

// hardened is the path of a configuration of the API server in which namespaces
// are for restricted pods, unless their labels say otherwise.
func hardened(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "admission.yaml")
	err := os.WriteFile(path, []byte(`apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: PodSecurity
  configuration:
    apiVersion: pod-security.admission.config.k8s.io/v1
    kind: PodSecurityConfiguration
    defaults: {enforce: restricted}
`), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
