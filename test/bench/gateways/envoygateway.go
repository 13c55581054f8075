package gateways

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sluice.io/sluice/test/cluster"
	"sluice.io/sluice/test/cluster/build"
	"sluice.io/sluice/test/install"
)

const (
	envoyGatewaySpace = "envoy-gateway-system"
	envoyGatewayClass = "envoy-gateway"
	proxies           = "app.kubernetes.io/managed-by=envoy-gateway,app.kubernetes.io/component=proxy"
	// shifted is where its Envoys listen for port 80.
	shifted = 10080
)

// envoyGateway is Envoy Gateway, installed by its own chart with its defaults,
// except for: our images; Envoys as a DaemonSet, as many as Sluice has; no limit
// of memory, as Sluice's chart sets none; and, where there are many Gateways, one
// set of Envoys for all of them.
type envoyGateway struct {
	built   *build.EnvoyGateway
	helm    *install.Release // Runs helm, no more.
	cluster *cluster.Cluster
	api     *api
}

func (*envoyGateway) name() string { return envoyGatewayClass }

func (e *envoyGateway) install(ctx context.Context, c Case) error {
	if _, err := e.cluster.Kubectl(ctx, "apply", "--server-side", "--force-conflicts", "-f", e.built.CRDs); err != nil {
		return fmt.Errorf("install Envoy Gateway's CRDs: %w", err)
	}
	repository, tag, _ := strings.Cut(e.built.Image, ":")
	values := filepath.Join(e.cluster.Config().Dir, "envoy-gateway-values.yaml")
	err := os.WriteFile(values, fmt.Appendf(nil, `crds: {enabled: false}
deployment: {envoyGateway: {image: {repository: %s, tag: %s}, imagePullPolicy: IfNotPresent, resources: {limits: {memory: null}}}}
`, repository, tag), 0o600)
	if err != nil {
		return err
	}
	_, err = e.helm.Helm(ctx, "upgrade", "--install", "eg", e.built.Chart, "--namespace", envoyGatewaySpace, "--create-namespace",
		"--values", values, "--wait", "--timeout", startup.String())
	if err != nil {
		return err
	}
	_, err = e.cluster.KubectlWith(ctx, e.class(c), "apply", "--server-side", "-f", "-")
	return err
}

func (e *envoyGateway) class(c Case) string {
	return fmt.Sprintf(`---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyProxy
metadata: {namespace: %[1]s, name: bench}
spec:
  mergeGateways: %[2]v
  provider:
    type: Kubernetes
    kubernetes:
      envoyDaemonSet: {container: {image: %[3]s}}
      envoyService: {type: ClusterIP}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: %[4]s}
spec:
  controllerName: gateway.envoyproxy.io/gatewayclass-controller
  parametersRef: {group: gateway.envoyproxy.io, kind: EnvoyProxy, namespace: %[1]s, name: bench}
`, envoyGatewaySpace, c.Gateways > 1, e.built.EnvoyImage, envoyGatewayClass)
}

// where is one of its Envoys: asking it at its pod's address leaves out
// kube-proxy, which would lead to either.
func (e *envoyGateway) where(ctx context.Context) (map[string]netip.AddrPort, error) {
	pods, err := e.api.pods(ctx, envoyGatewaySpace, proxies)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(pods, func(a, b pod) int { return strings.Compare(a.Spec.NodeName, b.Spec.NodeName) })
	if len(pods) == 0 {
		return nil, nil
	}
	addr, err := netip.ParseAddr(pods[0].Status.PodIP)
	if err != nil {
		return nil, nil //nolint:nilerr // it has none yet
	}
	var list struct {
		Items []struct{ Metadata struct{ Name string } }
	}
	if err := e.api.get(ctx, gatewaysPath, &list); err != nil {
		return nil, err
	}
	found := map[string]netip.AddrPort{}
	for _, g := range list.Items {
		found[g.Metadata.Name] = netip.AddrPortFrom(addr, shifted)
	}
	return found, nil
}

func (e *envoyGateway) pods(ctx context.Context) (map[Role][]pod, error) {
	controllers, err := e.api.pods(ctx, envoyGatewaySpace, "control-plane=envoy-gateway")
	if err != nil {
		return nil, err
	}
	envoys, err := e.api.pods(ctx, envoyGatewaySpace, proxies)
	return map[Role][]pod{Controller: controllers, Envoy: envoys}, err
}

func (*envoyGateway) groups() map[Role][]string { return map[Role][]string{} }

func (e *envoyGateway) uninstall(ctx context.Context) error {
	if err := awaitNoPods(ctx, e.api, envoyGatewaySpace, proxies); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"delete", "gatewayclass", envoyGatewayClass, "--ignore-not-found", "--timeout", startup.String()},
		{"-n", envoyGatewaySpace, "delete", "envoyproxy", "bench", "--ignore-not-found", "--timeout", startup.String()},
	} {
		if _, err := e.cluster.Kubectl(ctx, args...); err != nil {
			return err
		}
	}
	if _, err := e.helm.Helm(ctx, "uninstall", "eg", "--namespace", envoyGatewaySpace, "--ignore-not-found", "--wait"); err != nil {
		return err
	}
	return awaitNoPods(ctx, e.api, envoyGatewaySpace, "")
}
