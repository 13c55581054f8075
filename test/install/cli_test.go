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
	want []string // On its standard output; and
	says string   // on the other; and there
	err  string   // when it is to fail.
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
		{args: "status --context prod --node node1", want: []string{"Ready:      yes", "connected"}},
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
	w.rightsOfTheUser(t, sluice)
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

// rightsOfTheUser: one who may read routes and Gateways, and not all else that
// Sluice's own parts may, is shown what there is, and told what he may not read.
func (w *world) rightsOfTheUser(t *testing.T, sluice *program) {
	const class, group = "viewer", "gateway.networking.k8s.io"
	w.kubectl(t, "", "create", "serviceaccount", class)
	w.kubectl(t, "", "create", "clusterrole", class, "--verb=list,watch", "--resource=services,namespaces,pods,endpointslices.discovery.k8s.io,"+
		"gatewayclasses."+group+",gateways."+group+",httproutes."+group)
	w.kubectl(t, "", "create", "clusterrolebinding", class, "--clusterrole="+class, "--serviceaccount=default:"+class)
	token := w.kubectl(t, "", "create", "token", class)
	w.kubectl(t, "", "config", "--kubeconfig", sluice.config, "set-credentials", class, "--token="+token)
	w.kubectl(t, "", "config", "--kubeconfig", sluice.config, "set-context", class, "--cluster="+w.cluster.Name(), "--user="+class)
	for _, c := range []call{
		{args: "get routes --context viewer", want: []string{"HTTPRoute default/echo", "default/front"}, says: "secrets cannot be read, and they count as absent"},
		{args: "get services --context viewer", want: []string{"default/echo"}, says: "grpcroutes cannot be read"},
		{args: "status --context viewer", want: []string{"Ready:      no", "how Sluice's own parts are is not known"}, err: " "},
		{args: "get maps --context viewer --node node1", err: "cannot"},
	} {
		t.Run("viewer", func(t *testing.T) { sluice.run(t, c) })
	}
	w.kubectl(t, "", "delete", "serviceaccount/"+class, "clusterrole/"+class, "clusterrolebinding/"+class)
}

// nodeOf is the node of a pod.
func (w *world) nodeOf(t *testing.T, pod string) string {
	t.Helper()
	return w.kubectl(t, "", "get", "pod", pod, "-o", "jsonpath={.spec.nodeName}")
}

// program is a way to call the command line.
type program struct {
	w      *world
	args   []string
	env    []string
	config string // Where its contexts are that lead somewhere.
}

// client is sluice with a KUBECONFIG of two files: in one the context prod is the
// cluster, and in the other, which comes first, the current one leads nowhere.
func (w *world) client(t *testing.T) *program {
	t.Helper()
	config := filepath.Join(t.TempDir(), "config")
	b, err := os.ReadFile(w.cluster.Kubeconfig())
	w.must(t, err)
	w.must(t, os.WriteFile(config, b, 0o600))
	w.kubectl(t, "", "config", "--kubeconfig", config, "rename-context", w.cluster.Name(), "prod")
	nowhere := filepath.Join(filepath.Dir(config), "nowhere")
	for _, args := range []string{
		"set-cluster nowhere --server=https://127.0.0.1:1", "set-context nowhere-else --cluster=nowhere --user=admin", "use-context nowhere-else",
	} {
		w.kubectl(t, "", append([]string{"config", "--kubeconfig", nowhere}, strings.Fields(args)...)...)
	}
	return &program{w, []string{w.release.Binary}, []string{"KUBECONFIG=" + nowhere + ":" + config, "HOME=" + filepath.Dir(config)}, config}
}

// asPlugin is the same by kubectl, which finds it in the PATH.
func (p *program) asPlugin(t *testing.T, w *world) *program {
	t.Helper()
	dir := t.TempDir()
	w.must(t, os.Symlink(w.release.Binary, filepath.Join(dir, "kubectl-sluice")))
	kubectl := w.cluster.KubectlCommand(w.ctx).Args[0]
	return &program{w, []string{kubectl, "sluice"}, append([]string{"PATH=" + dir + ":" + os.Getenv("PATH")}, p.env...), p.config}
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
		if failed := err != nil; failed != (c.err != "") || !strings.Contains(errOut.String(), strings.TrimSpace(c.err)) || !strings.Contains(errOut.String(), c.says) {
			return fmt.Errorf("it ends with %q, want an error: %q, and %q said\n%s\n%s", fmt.Sprint(err), c.err, c.says, out.String(), errOut.String())
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
