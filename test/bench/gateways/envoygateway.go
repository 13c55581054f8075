package gateways

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
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
// except for: our images; no limit of memory, as Sluice's chart sets none; no
// LoadBalancer, as nobody here would give it an address; and, where there are
// many Gateways, one Envoy for all of them.
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
      envoyDeployment: {container: {image: %[3]s}}
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

// inspect asks Envoy's admin interface, within its pod.
func (e *envoyGateway) inspect(ctx context.Context) (version string, err error) {
	pods, err := e.api.pods(ctx, envoyGatewaySpace, proxies)
	if err != nil {
		return "", err
	}
	for _, p := range pods {
		place, err := e.cluster.Pod(ctx, envoyGatewaySpace, p.Metadata.Name)
		if err != nil {
			return "", err
		}
		info, err := admin(ctx, place, "/server_info")
		if err != nil {
			return "", err
		}
		var about struct{ Version string }
		if err := json.Unmarshal([]byte(info), &about); err != nil {
			return "", fmt.Errorf("read what %s tells of itself: %w", p.Metadata.Name, err)
		}
		rejected, err := admin(ctx, place, "/stats?filter=update_rejected$")
		if err != nil {
			return "", err
		}
		for line := range strings.Lines(rejected) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasSuffix(line, ": 0") {
				return "", fmt.Errorf("the Envoy %s rejected configuration: %s", p.Metadata.Name, line)
			}
		}
		if version = about.Version; strings.Count(version, "/") > 1 {
			version = strings.Split(version, "/")[1] // the build's hash comes first
		}
	}
	return version, nil
}

// admin asks the admin interface of an Envoy of Envoy Gateway.
func admin(ctx context.Context, from dialer, path string) (string, error) {
	client := http.Client{Transport: &http.Transport{DialContext: from.DialContext, DisableKeepAlives: true}, Timeout: usualPatience}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:19000"+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", fmt.Errorf("ask Envoy's admin interface: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("ask Envoy's admin interface: %s", resp.Status)
	}
	return string(b), err
}

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
