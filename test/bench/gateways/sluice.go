package gateways

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"

	"sluice.io/sluice/agent"
	"sluice.io/sluice/test/cluster"
	"sluice.io/sluice/test/install"
)

// poolRange is enough for thousands of Gateways. It is nobody's subnet: nodes
// announce addresses of it at their default route's interface, and the control
// plane's network asks for them there.
const poolRange = "172.30.0.0/20"

// sluice is the working tree, installed by its chart.
type sluice struct {
	release *install.Release
	cluster *cluster.Cluster
	api     *api
}

func (*sluice) name() string { return install.GatewayClass }

func (s *sluice) install(ctx context.Context, _ Case) error {
	if _, err := s.cluster.Control().Run(ctx, "ip", "route", "replace", poolRange, "dev", "br0"); err != nil {
		return fmt.Errorf("route to the Gateways' addresses: %w", err)
	}
	if err := s.release.Install(ctx); err != nil {
		return err
	}
	if err := s.release.Ready(ctx, startup); err != nil {
		return err
	}
	_, err := s.cluster.KubectlWith(ctx, `apiVersion: sluice.io/v1alpha1
kind: AddressPool
metadata: {name: bench}
spec: {addresses: [`+poolRange+`]}
`, "apply", "--server-side", "-f", "-")
	return err
}

func (s *sluice) where(ctx context.Context) (map[string]netip.AddrPort, error) {
	var list struct {
		Items []struct {
			Metadata struct{ Name string }
			Status   struct{ Addresses []struct{ Value string } }
		}
	}
	if err := s.api.get(ctx, gatewaysPath, &list); err != nil {
		return nil, err
	}
	found := map[string]netip.AddrPort{}
	for _, g := range list.Items {
		for _, a := range g.Status.Addresses {
			if addr, err := netip.ParseAddr(a.Value); err == nil && addr.Is4() {
				found[g.Metadata.Name] = netip.AddrPortFrom(addr, 80)
			}
		}
	}
	return found, nil
}

func (s *sluice) pods(ctx context.Context) (map[Role][]pod, error) {
	all, err := s.api.pods(ctx, install.Namespace, "app.kubernetes.io/instance="+install.Name)
	found := map[Role][]pod{}
	for _, p := range all {
		role := Role(p.Metadata.Labels["app.kubernetes.io/component"])
		found[role] = append(found[role], p)
	}
	return found, err
}

// groups: Envoy's process is in a cgroup of its own on each node, as it outlives
// its pod's container.
func (s *sluice) groups() map[Role][]string {
	var dirs []string
	for i := 1; i <= s.cluster.Nodes(); i++ {
		dirs = append(dirs, filepath.Join(s.cluster.NodeCgroup(i), "sluice", "envoy"))
	}
	return map[Role][]string{Envoy: dirs}
}

func (s *sluice) inspect(ctx context.Context) (version string, err error) {
	pods, err := s.pods(ctx)
	if err != nil {
		return "", err
	}
	for _, p := range pods[Agent] {
		out, err := s.cluster.Kubectl(ctx, "-n", install.Namespace, "exec", p.Metadata.Name, "--", "sluice", "status", "-o", "json")
		if err != nil {
			return "", err
		}
		var st agent.Status
		if err := json.Unmarshal([]byte(out), &st); err != nil {
			return "", fmt.Errorf("read the status of %s: %w", p.Metadata.Name, err)
		}
		if len(st.XDS.Rejected) > 0 {
			return "", fmt.Errorf("the Envoy of %s rejected %d resources: %s", p.Spec.NodeName, len(st.XDS.Rejected), st.XDS.Rejected[0].Message)
		}
		version = st.XDS.Version
	}
	return version, nil
}

func (s *sluice) uninstall(ctx context.Context) error {
	if _, err := s.cluster.Kubectl(ctx, "delete", "addresspool", "bench", "--ignore-not-found"); err != nil {
		return err
	}
	if err := s.release.Uninstall(ctx); err != nil {
		return err
	}
	err := eventually(ctx, "the copies' namespace to go", startup, pause, func() error {
		err := s.api.get(ctx, "/api/v1/namespaces/sluice-secrets", nil)
		if absent(err) {
			return nil
		}
		return errors.Join(errors.New("it is there"), err)
	})
	if err != nil {
		return err
	}
	return awaitNoPods(ctx, s.api, install.Namespace, "")
}

// awaitNoPods waits until pods have gone.
func awaitNoPods(ctx context.Context, a *api, namespace, selector string) error {
	return eventually(ctx, "pods of "+namespace+" to go", startup, pause, func() error {
		pods, err := a.pods(ctx, namespace, selector)
		if err == nil && len(pods) > 0 {
			err = fmt.Errorf("%d are there, %s among them", len(pods), pods[0].Metadata.Name)
		}
		return err
	})
}
