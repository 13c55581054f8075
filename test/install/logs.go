package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sluice.io/sluice/test/cluster"
	"sluice.io/sluice/test/cluster/build"
)

// kinds are those that say how Sluice and its users' objects are.
const kinds = "gatewayclasses,gateways,listenersets,httproutes,grpcroutes,tlsroutes,tcproutes,udproutes,backendtlspolicies,referencegrants," +
	"addresspools,gatewayparameters,nodereports,services,endpointslices,leases,daemonsets,deployments"

// SaveLogs copies what may explain a failure into a folder of its own below
// .cache/logs, which outlives the cluster: the cluster's logs, objects with their
// statuses, and what each agent says of its node. It returns the folder; it takes
// what it can get, and the error says what it couldn't.
func SaveLogs(ctx context.Context, c *cluster.Cluster) (string, error) {
	cache, err := build.Open(func(string, ...any) {})
	if err != nil {
		return "", err
	}
	parent := filepath.Join(cache.Repo(), ".cache", "logs")
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(parent, c.Name()+"-"+time.Now().Format("20060102-150405")+"-")
	if err != nil {
		return "", err
	}
	errs := []error{os.Chmod(dir, 0o755), c.SaveLogs(ctx, dir), saveAgents(ctx, c, filepath.Join(dir, "agents"))}
	for kind := range strings.SplitSeq(kinds, ",") {
		errs = append(errs, c.SaveOutput(ctx, filepath.Join(dir, "objects", kind+".yaml"), "get", kind, "-A", "-o", "yaml"))
	}
	return dir, errors.Join(errs...)
}

// saveAgents asks each agent for its status and for what it has told Envoy and the kernel.
func saveAgents(ctx context.Context, c *cluster.Cluster, dir string) error {
	pods, err := c.Kubectl(ctx, "-n", Namespace, "get", "pods", "-l", "app.kubernetes.io/component=agent", "--field-selector=status.phase=Running",
		"-o", `jsonpath={range .items[*]}{.metadata.name} {.spec.nodeName}{"\n"}{end}`)
	if err != nil {
		return err
	}
	var errs []error
	for line := range strings.Lines(pods) {
		pod, node, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		for _, verb := range []string{"status", "get gateways", "get routes", "get services", "get workloads", "get maps"} {
			args := append([]string{"-n", Namespace, "exec", pod, "-c", "agent", "--", "/usr/bin/sluice"}, strings.Fields(verb)...)
			out, err := c.Kubectl(ctx, append(args, "-o", "yaml")...)
			if out == "" && err != nil { // An agent that isn't ready says why, and fails.
				errs = append(errs, fmt.Errorf("agent of %s: %w", node, err))
				continue
			}
			file := filepath.Join(dir, node, strings.ReplaceAll(strings.TrimPrefix(verb, "get "), " ", "-")+".yaml")
			errs = append(errs, os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(out), 0o644))
		}
	}
	return errors.Join(errs...)
}
