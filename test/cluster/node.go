package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"sluice.io/sluice/test/cluster/build"
	"sluice.io/sluice/test/cluster/machine"
)

// Paths in a node.
const (
	containerdSocket = "/run/containerd/containerd.sock"
	cniBin           = "/usr/lib/cni"
	cniConf          = "/etc/cni/net.d"
	kubernetesDir    = "/etc/kubernetes"
)

// nodeLayered are the folders of the host that a node, and pods by hostPath, may
// write to without the host or another node seeing it. /tmp and /var/tmp are
// everybody's: archives of images come that way.
var nodeLayered = []string{"/etc", "/opt", "/var/lib", "/var/log"}

// nodePrivate are the folders that each node has for itself.
var nodePrivate = []string{
	"/var/lib/kubelet", "/var/lib/containerd", "/var/lib/cni", "/var/log/pods", "/var/log/containers",
	"/etc/cni", kubernetesDir,
}

// nodeShown are settings of the whole host that the kubelet and kube-proxy would
// change: they find what they want and don't write, or write into the void.
var nodeShown = map[string]string{
	"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
}

// nodeComponents lists the components of a node in order.
func (c *Cluster) nodeComponents(i int) []component {
	node := nodeName(i)
	on := func(name string, ready func(context.Context) error, args ...string) component {
		return component{node, node + "/" + name, append(args, c.cfg.Args[name]...), ready}
	}
	all := []component{
		on("containerd", c.containerdReady(node), hostPrograms["containerd"], "-c", kubernetesDir+"/containerd.toml"),
		on("kubelet", nil, c.kube("kubelet"),
			"--config", kubernetesDir+"/kubelet.yaml", "--kubeconfig", c.kubeconfig(node),
			"--hostname-override", node, "--node-ip", list(c.cfg.nodeAddrs(i))),
	}
	if c.cfg.KubeProxy != NoKubeProxy {
		all = append(all, on("kube-proxy", nil, c.kube("kube-proxy"), "--config", kubernetesDir+"/kube-proxy.yaml"))
	}
	return all
}

// containerdReady connects to containerd through its machine's root.
func (c *Cluster) containerdReady(node string) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		pid, err := c.machine(node).PID(ctx)
		if err != nil {
			return err
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", fmt.Sprintf("/proc/%d/root%s", pid, containerdSocket))
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

// writeNode writes a node's configuration where the node will see it.
func (c *Cluster) writeNode(i int) error {
	cni, err := c.cniConf(i)
	if err != nil {
		return err
	}
	files := map[string]string{
		kubernetesDir + "/containerd.toml": containerdConf,
		kubernetesDir + "/kubelet.yaml":    c.kubeletConf(i),
		kubernetesDir + "/kube-proxy.yaml": c.kubeProxyConf(i),
		kubernetesDir + "/resolv.conf":     "nameserver " + c.cfg.controlAddrs()[0].String() + "\n",
		cniConf + "/10-podnet.conflist":    cni,
	}
	for name, content := range files {
		path := filepath.Join(machine.Root(c.dir(nodeName(i))), name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// cniConf connects pods by a veth each, with addresses of the node's ranges. It
// masquerades nothing: pods see each other's addresses.
func (c *Cluster) cniConf(i int) (string, error) {
	type subnet struct {
		Subnet string `json:"subnet"`
	}
	type route struct {
		Dst string `json:"dst"`
	}
	var ranges [][]subnet
	var routes []route
	for _, p := range c.cfg.nodePods(i) {
		ranges = append(ranges, []subnet{{p.String()}})
		routes = append(routes, route{anywhere(p.Addr()).String()})
	}
	b, err := json.MarshalIndent(map[string]any{
		"cniVersion": "0.4.0", "name": "podnet", "plugins": []any{
			map[string]any{
				"type": "ptp", "mtu": 1500, "ipMasq": false,
				// In /run, which a reboot clears: no address stays taken by a pod that is gone.
				"ipam": map[string]any{"type": "host-local", "dataDir": "/run/cni-ipam", "ranges": ranges, "routes": routes},
			},
			map[string]any{"type": "portmap", "capabilities": map[string]bool{"portMappings": true}, "snat": true},
		},
	}, "", "  ")
	return string(b), err
}

// containerdConf: where the capability CAP_SYS_RESOURCE is missing, nothing may
// have an oom_score_adj below our own, and runc fails with "can't get final
// child's PID from pipe: EOF" unless nobody asks for it.
const containerdConf = `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
oom_score = 0
[grpc]
  address = "` + containerdSocket + `"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "` + build.PauseImage + `"
  disable_tcp_service = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "` + cniBin + `"
    conf_dir = "` + cniConf + `"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
`

// kubeletConf: from 1.35 on, a kubelet on cgroup version 1 refuses to start
// unless it is allowed. Images are never collected: nothing could pull them again.
func (c *Cluster) kubeletConf(i int) string {
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: "%s"
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: %s}}
authorization: {mode: Webhook}
tlsCertFile: %s
tlsPrivateKeyFile: %s
cgroupDriver: cgroupfs
oomScoreAdj: 0
failCgroupV1: false
failSwapOn: false
containerRuntimeEndpoint: unix://%s
clusterDNS: ["%s"]
clusterDomain: cluster.local
resolvConf: %s/resolv.conf
evictionHard: {memory.available: 100Mi, nodefs.available: "1%%", imagefs.available: "1%%", nodefs.inodesFree: "1%%"}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
makeIPTablesUtilChains: %t
`, c.cfg.nodeAddrs(i)[0], c.pki("ca.crt"), c.pki(nodeName(i)+"-serving.crt"), c.pki(nodeName(i)+"-serving.key"),
		containerdSocket, c.cfg.controlAddrs()[0], kubernetesDir, c.cfg.KubeProxy != NoKubeProxy)
}

// kubeProxyConf: zeros leave the host's connection tracking limits alone.
func (c *Cluster) kubeProxyConf(i int) string {
	return fmt.Sprintf(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: %s
hostnameOverride: %s
clusterCIDR: "%s"
clientConnection: {kubeconfig: %s}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
`, c.cfg.KubeProxy, nodeName(i), list(c.cfg.podRanges()), c.kubeconfig("kube-proxy"))
}
