package install_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// call is a call of the command line, and what it is to print.
type call struct {
	args string
	want []string // On its standard output; or
	err  string   // on the other, when it is to fail.
}

// commandLine: what the command line says of a cluster, by kubeconfig and context,
// as itself and as a plugin of kubectl.
func (w *world) commandLine(t *testing.T) {
	w.kubectl(t, "", "label", "namespace", "default", "sluice.io/mesh=enabled")
	pod := strings.Fields(w.kubectl(t, "", "get", "pods", "-l", "app=echo", "-o", "jsonpath={.items[*].metadata.name}"))[0]
	gateway := w.addresses[0]
	service := w.kubectl(t, "", "get", "service", "echo", "-o", "jsonpath={.spec.clusterIP}")
	sluice := w.client(t)
	for _, c := range []call{
		{args: "status --context prod --wait 60s", want: []string{"Ready:      yes", "agent:      2 of 2 nodes ready", "envoy:      2 of 2 nodes ready", "Controller: " + w.leader(t)}},
		{args: "status --kubeconfig " + w.cluster.Kubeconfig() + " -o json", want: []string{`"ready": true`, `"server": "` + w.cluster.URL()}},
		{args: "status", err: "127.0.0.1:1"}, // The current context leads nowhere.
		{args: "status --context nowhere", err: "nowhere"},
		{args: "status --context prod --sluice-namespace default", want: []string{"Ready:      no", "no agents are installed in namespace default"}, err: " "},
		{args: "get services --context prod", want: []string{"default/echo", service}},
		{args: "get routes --context prod", want: []string{"HTTPRoute default/echo", "default/front"}},
		{args: "get gateways --context prod", want: []string{"default/front", "http", w.addresses[0], w.addresses[1], "yes"}},
		{args: "get workloads --context prod", want: []string{"default/" + pod}},
		{args: "get workloads --context prod --node " + w.nodeOf(t, pod), want: []string{"default/" + pod}},
		{args: "get maps --context prod --node node1", want: []string{service + ":80", gateway + ":80/TCP", "default/front"}},
		{args: "get maps --context prod --node node2 -o json", want: []string{`"frontends"`}},
		{args: "get maps --context prod", err: "name it with --node"},
		{args: "get maps --context prod --node node9", err: "node9"},
		{args: "explain --context prod --to http://" + gateway + "/other", want: []string{"Gateway default/front", "HTTPRoute default/echo rule 0", "default/echo:80"}},
		{args: "explain --context prod --from default/" + pod + " --to echo:80", want: []string{"Service default/echo", "in the kernel"}},
		{args: "explain --context prod --node " + w.nodeOf(t, pod) + " --from default/" + pod + " --to echo:80 -o json", want: []string{`"handler": "kernel"`}},
	} {
		t.Run("sluice", func(t *testing.T) { sluice.run(t, c) })
	}
	plugin := sluice.asPlugin(t, w)
	for _, c := range []call{
		{args: "status --context prod", want: []string{"Ready:      yes"}},
		{args: "get gateways --context prod -o json", want: []string{`"front"`, gateway}},
		{args: "get maps --context prod --node node1", want: []string{gateway + ":80/TCP"}},
		{args: "status", err: "127.0.0.1:1"},
	} {
		t.Run("kubectl", func(t *testing.T) { plugin.run(t, c) })
	}
	w.kubectl(t, "", "label", "namespace", "default", "sluice.io/mesh-")
}

// nodeOf is the node of a pod.
func (w *world) nodeOf(t *testing.T, pod string) string {
	t.Helper()
	return w.kubectl(t, "", "get", "pod", pod, "-o", "jsonpath={.spec.nodeName}")
}

// program is a way to call the command line.
type program struct {
	w    *world
	args []string
	env  []string
}

// client is sluice with a kubeconfig of two contexts: prod is the cluster, and the
// current one leads nowhere.
func (w *world) client(t *testing.T) *program {
	t.Helper()
	config := filepath.Join(t.TempDir(), "config")
	b, err := os.ReadFile(w.cluster.Kubeconfig())
	w.must(t, err)
	w.must(t, os.WriteFile(config, b, 0o600))
	for _, args := range []string{
		"rename-context " + w.cluster.Name() + " prod", "set-cluster nowhere --server=https://127.0.0.1:1",
		"set-context nowhere-else --cluster=nowhere --user=admin", "use-context nowhere-else",
	} {
		w.kubectl(t, "", append([]string{"config", "--kubeconfig", config}, strings.Fields(args)...)...)
	}
	return &program{w, []string{w.release.Binary}, []string{"KUBECONFIG=" + config, "HOME=" + filepath.Dir(config)}}
}

// asPlugin is the same by kubectl, which finds it in the PATH.
func (p *program) asPlugin(t *testing.T, w *world) *program {
	t.Helper()
	dir := t.TempDir()
	w.must(t, os.Symlink(w.release.Binary, filepath.Join(dir, "kubectl-sluice")))
	kubectl := w.cluster.KubectlCommand(w.ctx).Args[0]
	return &program{w, []string{kubectl, "sluice"}, append([]string{"PATH=" + dir + ":" + os.Getenv("PATH")}, p.env...)}
}

// run calls it until it says what it is to say: what is asked may come to be a
// moment later.
func (p *program) run(t *testing.T, c call) {
	t.Helper()
	within(t, 10*time.Second, strings.Join(p.args, " ")+" "+c.args, func() error {
		var out, errOut bytes.Buffer
		args := append(append([]string{}, p.args...), strings.Fields(c.args)...)
		cmd := exec.CommandContext(p.w.ctx, args[0], args[1:]...)
		cmd.Env = append(os.Environ(), p.env...)
		cmd.Stdout, cmd.Stderr = &out, &errOut
		err := p.w.cluster.Control().Start(cmd)
		if err == nil {
			err = cmd.Wait()
		}
		if failed := err != nil; failed != (c.err != "") || !strings.Contains(errOut.String(), strings.TrimSpace(c.err)) {
			return fmt.Errorf("%w, want an error: %q\n%s\n%s", err, c.err, out.String(), errOut.String())
		}
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				return fmt.Errorf("no %q in\n%s", want, out.String())
			}
		}
		if strings.Contains(c.args, "-o json") && !json.Valid(out.Bytes()) {
			return fmt.Errorf("no JSON: %s", out.String())
		}
		return nil
	})
}
