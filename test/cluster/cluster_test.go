package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice.io/sluice/test/cluster"
	"sluice.io/sluice/test/cluster/build"
	"sluice.io/sluice/test/cluster/oci"
)

// Names of our own, so that a cluster that somebody works with is left alone.
const name = "slct"

// patience is for what the cluster does in its own time.
const patience = 2 * time.Minute

// live skips what needs root and a cluster, with -short only.
func live(t *testing.T) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("needs root and a cluster")
	}
	return t.Context()
}

// lines sends progress to the test's log.
type lines struct{ t *testing.T }

func (l lines) Write(b []byte) (int, error) {
	l.t.Log(strings.TrimRight(string(b), "\n"))
	return len(b), nil
}

// up brings up a cluster for the time of the test.
func up(ctx context.Context, t *testing.T, cfg cluster.Config) *cluster.Cluster {
	t.Helper()
	cfg.Progress = lines{t}
	c, err := cluster.Create(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Down(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	})
	return c
}

// eventually tries until it works.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if time.Since(start) > patience {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

func kubectl(ctx context.Context, t *testing.T, c *cluster.Cluster, stdin string, args ...string) string {
	t.Helper()
	out, err := c.KubectlWith(ctx, stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// get asks for the root of a server from a place.
func get(ctx context.Context, from cluster.Place, addr string) error {
	a, err := from.Get(ctx, "http://"+addr+"/")
	if err == nil && a.Status != http.StatusOK {
		err = fmt.Errorf("%s: %d", addr, a.Status)
	}
	return err
}

// pods are a server on each node, and a Service in front of them.
func pods(nodes int, family string) string {
	var b strings.Builder
	for i := 1; i <= nodes; i++ {
		_, _ = fmt.Fprintf(&b, `---
apiVersion: v1
kind: Pod
metadata: {name: echo%[1]d, labels: {app: echo}}
spec:
  nodeName: node%[1]d
  containers:
  - name: echo
    image: registry.k8s.io/gateway-api/echo-basic:v1.5.1
    env:
    - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
    readinessProbe: {httpGet: {path: /, port: 3000}, periodSeconds: 1}
`, i)
	}
	return b.String() + `---
apiVersion: v1
kind: Service
metadata: {name: echo}
spec:
  type: NodePort
  ipFamilyPolicy: ` + family + `
  selector: {app: echo}
  ports: [{port: 80, targetPort: 3000}]
`
}

// deploy makes the pods and waits until they are Ready; it returns their places
// and addresses.
func deploy(ctx context.Context, t *testing.T, c *cluster.Cluster, family string) ([]cluster.Place, [][]string) {
	t.Helper()
	kubectl(ctx, t, c, pods(c.Nodes(), family), "apply", "-f", "-")
	kubectl(ctx, t, c, "", "wait", "--for=condition=Ready", "--timeout=120s", "pod", "-l", "app=echo")
	var places []cluster.Place
	var addrs [][]string
	for i := 1; i <= c.Nodes(); i++ {
		pod := fmt.Sprintf("echo%d", i)
		p, err := c.Pod(ctx, "default", pod)
		if err != nil {
			t.Fatal(err)
		}
		places = append(places, p)
		addrs = append(addrs, strings.Fields(kubectl(ctx, t, c, "", "get", "pod", pod, "-o", "jsonpath={.status.podIPs[*].ip}")))
	}
	return places, addrs
}

// resolve asks the cluster's DNS from a place, as a pod there would.
func resolve(ctx context.Context, c *cluster.Cluster, from cluster.Place, host string) ([]string, error) {
	server := net.JoinHostPort(c.Config().Ranges.Nodes.Addr().Next().String(), "53")
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return from.DialContext(ctx, "udp", server)
	}}
	return r.LookupHost(ctx, host+".")
}

// TestCluster goes the whole way on one cluster.
func TestCluster(t *testing.T) {
	ctx := live(t)
	before := nodeFolders()
	c := up(ctx, t, cluster.Config{Name: name, Images: []string{"echo-basic"}, GatewayAPI: "experimental"})
	places, addrs := deploy(ctx, t, c, "RequireDualStack")

	t.Run("up again", func(t *testing.T) { upAgain(ctx, t, c) })
	t.Run("pod to pod", func(t *testing.T) {
		for i, from := range places {
			for j, to := range addrs {
				if len(to) != 2 {
					t.Errorf("echo%d has addresses %v, want one of each family", j+1, to)
				}
				for _, addr := range to {
					if err := get(ctx, from, net.JoinHostPort(addr, "3000")); err != nil {
						t.Errorf("echo%d to echo%d: %v", i+1, j+1, err)
					}
				}
			}
		}
	})
	t.Run("Service by name", func(t *testing.T) {
		found, err := resolve(ctx, c, places[0], "echo.default.svc.cluster.local")
		if err != nil || len(found) != 2 {
			t.Fatalf("DNS says %v, %v, want an address of each family", found, err)
		}
		for _, addr := range found {
			eventually(t, "Service at "+addr, func() error { return get(ctx, places[0], net.JoinHostPort(addr, "80")) })
		}
	})
	t.Run("Gateway API", func(t *testing.T) {
		kubectl(ctx, t, c, "", "get", "listenersets,udproutes,backendtlspolicies")
		if err := c.InstallGatewayAPI(ctx, "standard"); err != nil {
			t.Errorf("change the channel: %v", err)
		}
	})
	t.Run("logs", func(t *testing.T) {
		if err := savesLogs(ctx, t, c); err != nil {
			t.Error(err)
		}
	})
	t.Run("image of our own", func(t *testing.T) { ownImage(ctx, t, c) })
	t.Run("folders of a node", func(t *testing.T) {
		const file = "/var/lib/" + name + "-file"
		if _, err := c.InNode(ctx, 1, "/usr/bin/touch", file); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(file); err == nil {
			t.Error("what a node writes is on the host")
		}
		if out, err := c.InNode(ctx, 2, "/usr/bin/ls", file); err == nil {
			t.Errorf("what a node writes is on another: %s", out)
		}
	})
	t.Run("API server away", func(t *testing.T) { apiServerAway(ctx, t, c, places[0], addrs[1][0]) })
	t.Run("node away", func(t *testing.T) { nodeAway(ctx, t, c, places[0], addrs[1][0]) })

	if err := c.Down(ctx); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, name)
	if after := nodeFolders(); !slices.Equal(before, after) {
		t.Errorf("the host had folders %v, and has %v", before, after)
	}
	if err := c.Down(ctx); err != nil {
		t.Errorf("down again: %v", err)
	}
	if _, err := cluster.Open(ctx, name, nil); err == nil {
		t.Error("a cluster that is down was found")
	}
}

func upAgain(ctx context.Context, t *testing.T, c *cluster.Cluster) {
	before := uid(ctx, t, c)
	if err := c.StopComponent(ctx, "scheduler", syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	again, err := cluster.Up(ctx, c.Config())
	if err != nil {
		t.Fatal(err)
	}
	if after := uid(ctx, t, again); after != before {
		t.Error("up of a cluster that is up made another")
	}
	list, err := again.Components(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, comp := range list {
		if !comp.Running {
			t.Errorf("%s doesn't run", comp.Name)
		}
	}
	other := c.Config()
	other.Nodes++
	if _, err := cluster.Up(ctx, other); err == nil || !strings.Contains(err.Error(), "another configuration") {
		t.Errorf("up with another configuration: %v", err)
	}
	refused(ctx, t, c)
}

// refused: who would take the cluster down afterwards doesn't get one that is up.
func refused(ctx context.Context, t *testing.T, c *cluster.Cluster) {
	t.Helper()
	before := uid(ctx, t, c)
	if _, err := cluster.Create(ctx, c.Config()); !errors.Is(err, cluster.ErrUp) {
		t.Errorf("a cluster that is up was created: %v", err)
	}
	if after := uid(ctx, t, c); after != before {
		t.Error("a cluster was made where one was refused")
	}
}

// uid tells clusters apart.
func uid(ctx context.Context, t *testing.T, c *cluster.Cluster) string {
	t.Helper()
	return kubectl(ctx, t, c, "", "get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}")
}

func ownImage(ctx context.Context, t *testing.T, c *cluster.Cluster) {
	bin := filepath.Join(t.TempDir(), "pause")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", bin, "./pause")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	archive := filepath.Join(t.TempDir(), "own.tar")
	im := oci.Image{Names: []string{"example.com/own:v1"}, Files: []oci.File{{Path: "/own", Source: bin}}, Entrypoint: []string{"/own"}}
	if err := errors.Join(im.WriteFile(archive), c.LoadImage(ctx, archive)); err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= c.Nodes(); i++ {
		kubectl(ctx, t, c, fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: own%[1]d, labels: {app: own}}
spec:
  nodeName: node%[1]d
  containers: [{name: own, image: "example.com/own:v1", imagePullPolicy: Never}]
`, i), "apply", "-f", "-")
	}
	kubectl(ctx, t, c, "", "wait", "--for=condition=Ready", "--timeout=120s", "pod", "-l", "app=own")
}

func apiServerAway(ctx context.Context, t *testing.T, c *cluster.Cluster, from cluster.Place, addr string) {
	if err := c.StopComponent(ctx, "apiserver", syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(ctx, "/version", nil); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("API server that was stopped: %v, want a refused connection", err)
	}
	if err := get(ctx, from, net.JoinHostPort(addr, "3000")); err != nil {
		t.Errorf("a pod without the API server: %v", err)
	}
	// Logs are kept also then; what only the API server knows is missing, and told.
	if err := savesLogs(ctx, t, c); err == nil || !strings.Contains(err.Error(), "kubectl get events") {
		t.Errorf("logs without the API server: %v, want an error of its events", err)
	}
	if err := c.StartComponent(ctx, "apiserver"); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(ctx, "/version", nil); err != nil {
		t.Error(err)
	}
}

// savesLogs checks the logs that are on disks.
func savesLogs(ctx context.Context, t *testing.T, c *cluster.Cluster) error {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "logs")
	err := c.SaveLogs(ctx, dir)
	for _, pattern := range []string{
		"components/control-apiserver.log", "components/node1-kubelet.log", "pods/node1/default_echo1_*/echo/0.log", "pods/node2/default_echo2_*/echo/0.log",
	} {
		found, _ := filepath.Glob(filepath.Join(dir, pattern))
		if len(found) != 1 {
			t.Errorf("logs: %d of %s, want 1", len(found), pattern)
			continue
		}
		if st, err := os.Stat(found[0]); err != nil || st.Size() == 0 {
			t.Errorf("logs: %s is empty (%v)", pattern, err)
		}
	}
	return err
}

func nodeAway(ctx context.Context, t *testing.T, c *cluster.Cluster, from cluster.Place, addr string) {
	if err := c.StopNode(ctx, 2); err != nil {
		t.Fatal(err)
	}
	refused(ctx, t, c) // Not whole, but not nobody's.
	if err := get(ctx, from, net.JoinHostPort(addr, "3000")); err == nil {
		t.Error("a pod of a node that was stopped answers")
	}
	if err := c.StartNode(ctx, 2); err != nil {
		t.Fatal(err)
	}
	eventually(t, "pod of the node that came back", func() error {
		var pod struct{ Status struct{ PodIP string } }
		if err := c.Get(ctx, "/api/v1/namespaces/default/pods/echo2", &pod); err != nil {
			return err
		}
		return get(ctx, from, net.JoinHostPort(pod.Status.PodIP, "3000"))
	})
}

// nodeFolders lists what the host has of the folders that programs of nodes make.
func nodeFolders() []string {
	var found []string
	for _, pattern := range []string{
		"/var/lib/kubelet", "/var/lib/containerd/*", "/var/lib/cni", "/var/log/pods", "/var/log/containers",
		"/etc/kubernetes", "/etc/cni/*", "/opt/cni", "/run/containerd", "/run/cni-ipam",
	} {
		paths, _ := filepath.Glob(pattern)
		found = append(found, paths...)
	}
	return found
}

// nothingLeft looks for everything that could be left of a cluster.
func nothingLeft(t *testing.T, name string) {
	t.Helper()
	for _, pattern := range []string{"/run/netns/" + name + "-*", "/var/tmp/sluice-cluster/" + name + "*"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			t.Errorf("left behind: %v", found)
		}
	}
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == name {
			t.Errorf("left behind: cgroup %s", path)
		}
		return nil
	})
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range procs {
		args, _ := os.ReadFile(p + "/cmdline") // Empty when it has ended, and the host's init has yet to notice.
		groups, _ := os.ReadFile(p + "/cgroup")
		if len(args) > 0 && (strings.Contains(string(args), "sluice-cluster/"+name+"/") || strings.Contains(string(groups), "/"+name+"/")) {
			t.Errorf("left behind: process %s: %q in %q", p, args, groups)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, "/"+name+"-") || strings.Contains(line, "/"+name+"/") {
			t.Errorf("left behind: mount %s", line)
		}
	}
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if strings.HasPrefix(l.Name, "node") || l.Name == "br0" {
			t.Errorf("a link of a cluster is in the host's network: %s", l.Name)
		}
	}
}

// TestSideBySide runs two clusters at once, each with parameters of its own.
func TestSideBySide(t *testing.T) {
	ctx := live(t)
	const first, second = name + "a", name + "b"
	a := up(ctx, t, cluster.Config{
		Name: first, Nodes: 3, Ranges: cluster.RangesOf(30), KubeProxy: cluster.NFTables, Images: []string{"echo-basic"},
	})
	b := up(ctx, t, cluster.Config{
		Name: second, Nodes: 1, Ranges: cluster.RangesOf(31), KubeProxy: cluster.NoKubeProxy, SingleStack: true,
		Images: []string{"echo-basic"},
		Args:   map[string][]string{"apiserver": {"--service-node-port-range=31234-31234"}},
	})
	places, _ := deploy(ctx, t, a, "RequireDualStack")
	single, addrs := deploy(ctx, t, b, "SingleStack")

	found, err := resolve(ctx, a, places[2], "echo.default.svc.cluster.local")
	if err != nil || len(found) != 2 {
		t.Fatalf("DNS of %s says %v, %v, want an address of each family", first, found, err)
	}
	for _, addr := range found {
		eventually(t, "Service at "+addr, func() error { return get(ctx, places[2], net.JoinHostPort(addr, "80")) })
	}
	if len(addrs[0]) != 1 || !b.Config().Ranges.Pods.Contains(mustAddr(t, addrs[0][0])) {
		t.Errorf("pod of %s has %v, want an IPv4 address of %s", second, addrs[0], b.Config().Ranges.Pods)
	}
	if port := kubectl(ctx, t, b, "", "get", "service", "echo", "-o", "jsonpath={.spec.ports[0].nodePort}"); port != "31234" {
		t.Errorf("argument for the API server: node port is %s", port)
	}
	found, err = resolve(ctx, b, single[0], "echo.default.svc.cluster.local")
	if err != nil || len(found) != 1 {
		t.Fatalf("DNS of %s says %v, %v, want an address", second, found, err)
	}
	if err := get(ctx, single[0], net.JoinHostPort(found[0], "80")); err == nil {
		t.Error("a Service without kube-proxy answers")
	}
	if err := b.Down(ctx); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, second)
	if err := a.Get(ctx, "/readyz", nil); err != nil {
		t.Errorf("%s after %s went down: %v", first, second, err)
	}
	if err := a.Down(ctx); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, first)
}

// TestUpFails checks that a failure says where it was, and leaves nothing.
func TestUpFails(t *testing.T) {
	ctx := live(t)
	const name = name + "f"
	_, err := cluster.Up(ctx, cluster.Config{
		Name: name, Nodes: 1, Images: []string{}, Args: map[string][]string{"apiserver": {"--no-such-flag"}}, Progress: lines{t},
	})
	if err == nil {
		t.Fatal("an API server with a wrong flag serves")
	}
	for _, want := range []string{"apiserver ended: exit status 1", "unknown flag: --no-such-flag", "control-apiserver.log"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the error: %v", want, err)
		}
	}
	nothingLeft(t, name)
}

// TestUpInterrupted interrupts an up that then cleans up, and kills one that can't.
func TestUpInterrupted(t *testing.T) {
	ctx := live(t)
	const name = name + "i"
	cfg := cluster.Config{Name: name, Nodes: 1, Images: []string{}}
	interrupted, cancel := context.WithCancel(ctx)
	cfg.Progress = when{"API server serves", cancel}
	if _, err := cluster.Up(interrupted, cfg); !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted up: %v", err)
	}
	nothingLeft(t, name)

	killed := killAtAPI(ctx, t, name)
	if _, err := os.Stat("/run/netns/" + name + "-control"); err != nil {
		t.Fatalf("the up that was killed had made nothing yet: %v\n%s", err, killed)
	}
	cfg.Progress = nil
	c := up(ctx, t, cfg)
	if err := c.Get(ctx, "/readyz", nil); err != nil {
		t.Error(err)
	}
}

// when calls do at a word of the progress.
type when struct {
	word string
	do   func()
}

func (w when) Write(b []byte) (int, error) {
	if strings.Contains(string(b), w.word) {
		w.do()
	}
	return len(b), nil
}

// killAtAPI runs the command's up and kills it when the API server serves. It
// returns what it printed.
func killAtAPI(ctx context.Context, t *testing.T, name string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "cluster")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", bin, "./cmd").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.CommandContext(ctx, bin, "-name", name, "up", "-nodes", "1", "-image", "pause")
	var out strings.Builder
	cmd.Stdout = io.MultiWriter(&out, when{"API server serves", func() { _ = cmd.Process.Kill() }})
	if err := cmd.Run(); err == nil {
		t.Fatal("an up that was killed ended well")
	}
	return out.String()
}

// TestImages checks that there is an archive for each image that has a name.
func TestImages(t *testing.T) {
	ctx := live(t)
	cache, err := build.Open(func(format string, args ...any) { t.Logf(format, args...) })
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range build.Images() {
		path, err := cache.Image(ctx, image)
		if err != nil {
			t.Fatal(err)
		}
		if st, err := os.Stat(path); err != nil || st.Size() == 0 {
			t.Errorf("archive of %s: %v", image, err)
		}
	}
	if _, err := cache.Image(ctx, "none"); err == nil {
		t.Error("an image that there is not was built")
	}
}

func mustAddr(t *testing.T, s string) netip.Addr {
	t.Helper()
	a, err := netip.ParseAddr(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
