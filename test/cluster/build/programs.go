package build

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// programs are the names by which the one binary of Kubernetes is called.
var programs = []string{
	"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl",
}

// Kube returns the folder of Kubernetes' programs, etcd and kubectl.
func (c *Cache) Kube(ctx context.Context) (string, error) {
	version, err := c.KubeVersion()
	if err != nil {
		return "", err
	}
	return c.get(ctx, recipe{
		name: "kube", version: version, sources: []string{"kube"},
		cost: ": once, some ten minutes on two cores",
		make: func(ctx context.Context, out string) error {
			if err := c.goBuild(ctx, "kube", ".", filepath.Join(out, "kube"), kubeFlags(version)...); err != nil {
				return err
			}
			for _, name := range programs {
				if err := os.Symlink("kube", filepath.Join(out, name)); err != nil {
					return err
				}
			}
			return nil
		},
	})
}

// KubeVersion is the version of Kubernetes, such as v1.35.4.
func (c *Cache) KubeVersion() (string, error) { return c.moduleVersion("kube", "k8s.io/kubernetes") }

// kubeFlags tells the binary its version: kubelets and the API server compare
// theirs, and clients decide by it.
func kubeFlags(version string) []string {
	const pkg = "k8s.io/component-base/version."
	numbers := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	flags := []string{"-s", "-w"}
	for name, value := range map[string]string{
		"gitVersion": version, "gitMajor": numbers[0], "gitMinor": numbers[1],
		"gitTreeState": "clean", "gitCommit": "unknown", "buildDate": "1970-01-01T00:00:00Z",
	} {
		flags = append(flags, fmt.Sprintf("-X %s%s=%s", pkg, name, value))
	}
	// Without the cloud providers, which nothing here uses.
	return []string{"-tags", "providerless", "-ldflags", strings.Join(flags, " ")}
}

// CoreDNS returns the path of CoreDNS.
func (c *Cache) CoreDNS(ctx context.Context) (string, error) {
	version, err := c.moduleVersion("images/coredns", "github.com/coredns/coredns")
	if err != nil {
		return "", err
	}
	dir, err := c.get(ctx, recipe{
		name: "coredns", version: version, sources: []string{"images/coredns"}, cost: ": once, a minute",
		make: func(ctx context.Context, out string) error {
			return c.goBuild(ctx, "images/coredns", ".", filepath.Join(out, "coredns"), "-ldflags", "-s -w")
		},
	})
	return filepath.Join(dir, "coredns"), err
}

// MachineInit returns the path of the first process of machines.
func (c *Cache) MachineInit(ctx context.Context) (string, error) {
	dir, err := c.get(ctx, recipe{
		name: "machine", version: "v1", sources: []string{"machine", "machine/init"},
		make: func(ctx context.Context, out string) error {
			return c.goBuild(ctx, "machine/init", ".", filepath.Join(out, "machine-init"), "-ldflags", "-s -w")
		},
	})
	return filepath.Join(dir, "machine-init"), err
}
