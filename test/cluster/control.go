package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

const etcdURL = "http://127.0.0.1:2379"

// controlPlane lists the components of the control plane in order.
func (c *Cluster) controlPlane() []component {
	on := func(name string, ready func(context.Context) error, program string, args ...string) component {
		args = append([]string{program}, args...)
		return component{controlName, name, append(args, c.cfg.Args[name]...), ready}
	}
	kubeconfigs := func(client string) []string {
		path := c.kubeconfig(client)
		return []string{
			"--kubeconfig", path, "--authentication-kubeconfig", path, "--authorization-kubeconfig", path,
			"--leader-elect=false", "--bind-address", "127.0.0.1",
		}
	}
	return []component{
		on("etcd", nil, c.kube("etcd"), c.etcdArgs()...),
		on("apiserver", c.apiReady, c.kube("kube-apiserver"), c.apiserverArgs()...),
		on("controller-manager", nil, c.kube("kube-controller-manager"), append(kubeconfigs("controller-manager"),
			"--service-account-private-key-file", c.pki("sa.key"),
			"--root-ca-file", c.pki("ca.crt"),
			"--cluster-signing-cert-file", c.pki("ca.crt"),
			"--cluster-signing-key-file", c.pki("ca.key"),
			"--use-service-account-credentials",
			// Its forty controllers each ask for a token first, at 20 a second unless told.
			"--kube-api-qps=200", "--kube-api-burst=400",
			// How often it looks whether a new node may take pods: 5 s unless told.
			"--node-monitor-period=1s")...),
		on("scheduler", nil, c.kube("kube-scheduler"), kubeconfigs("scheduler")...),
		on("coredns", c.dnsReady, c.state.Programs["coredns"], "-conf", c.dir("Corefile")),
	}
}

// etcdArgs: the data lives as long as the cluster, and the disk may be slow.
func (c *Cluster) etcdArgs() []string {
	const peer = "http://127.0.0.1:2380"
	return []string{
		"--data-dir", c.dir("etcd"), "--unsafe-no-fsync", "--log-level", "warn",
		"--listen-client-urls", etcdURL, "--advertise-client-urls", etcdURL,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default=" + peer,
	}
}

func (c *Cluster) apiserverArgs() []string {
	return []string{
		"--etcd-servers", etcdURL,
		"--advertise-address", c.cfg.controlAddrs()[0].String(),
		"--secure-port", "6443",
		"--service-cluster-ip-range", list(c.cfg.serviceRanges()),
		"--allow-privileged",
		// Webhooks are named by Service; no kube-proxy runs beside the API server,
		// but it has routes to pods: it dials endpoints.
		"--enable-aggregator-routing",
		"--authorization-mode", "Node,RBAC",
		"--enable-admission-plugins", "NodeRestriction",
		"--client-ca-file", c.pki("ca.crt"),
		"--tls-cert-file", c.pki("apiserver.crt"),
		"--tls-private-key-file", c.pki("apiserver.key"),
		"--kubelet-certificate-authority", c.pki("ca.crt"),
		"--kubelet-client-certificate", c.pki("kubelet-client.crt"),
		"--kubelet-client-key", c.pki("kubelet-client.key"),
		"--kubelet-preferred-address-types", "InternalIP",
		"--service-account-issuer", "https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file", c.pki("sa.pub"),
		"--service-account-signing-key-file", c.pki("sa.key"),
		"--requestheader-client-ca-file", c.pki("front-proxy-ca.crt"),
		"--requestheader-allowed-names", "front-proxy-client",
		"--requestheader-username-headers", "X-Remote-User",
		"--requestheader-group-headers", "X-Remote-Group",
		"--requestheader-extra-headers-prefix", "X-Remote-Extra-",
		"--proxy-client-cert-file", c.pki("front-proxy-client.crt"),
		"--proxy-client-key-file", c.pki("front-proxy-client.key"),
	}
}

// writeCorefile configures the cluster's DNS. It runs beside the API server, and
// pods ask it at the control plane's address: so it needs no Services to work.
func (c *Cluster) writeCorefile() error {
	return os.WriteFile(filepath.Join(c.cfg.Dir, "Corefile"), fmt.Appendf(nil, `.:53 {
  errors
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    kubeconfig %s
    pods insecure
    ttl 5
  }
  cache 5
}
`, c.kubeconfig("coredns")), 0o644)
}
