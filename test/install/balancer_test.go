package install_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice.io/sluice/test/install"
)

// balanced is a Gateway for a load balancer that is none of ours.
const balanced = `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: balanced}
spec:
  gatewayClassName: ` + install.GatewayClass + `
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: balanced}
spec:
  parentRefs: [{name: balanced}]
  rules: [{backendRefs: [{name: echo, port: 80}]}]
`

// loadBalancer: without a pool, a cluster's load balancer brings connections to
// node ports, kube-proxy to the target port of a node that serves, of either
// family, and the backend is told the client's address. A node whose Envoy isn't
// ready gets none; when none is ready, the Gateway says so.
func (w *world) loadBalancer(t *testing.T) {
	w.kubectl(t, backends(w.cluster.Nodes())+balanced, "apply", "-f", "-")
	w.kubectl(t, "", "rollout", "status", "deployment/echo", "--timeout", patience.String())
	var svc service
	eventually(t, "the Gateway's Service", func() error {
		err := w.cluster.Get(w.ctx, "/api/v1/namespaces/default/services/balanced-"+install.GatewayClass, &svc)
		if err == nil && (len(svc.Spec.Ports) != 1 || svc.Spec.Ports[0].NodePort == 0) {
			err = fmt.Errorf("it has the ports %v, want one with a node port", svc.Spec.Ports)
		}
		return err
	})
	if p := svc.Spec.Ports[0]; p.TargetPort < 20000 || p.TargetPort > 29999 || svc.Spec.HealthCheckNodePort == 0 {
		t.Fatalf("target port %d, port for health checks %d", p.TargetPort, svc.Spec.HealthCheckNodePort)
	}
	// What the cluster's load balancer would write.
	w.kubectl(t, "", "patch", "service", "balanced-"+install.GatewayClass, "--subresource=status", "--type=merge",
		"-p", `{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.10","ipMode":"Proxy"},{"ip":"2001:db8::10","ipMode":"Proxy"}]}}}`)
	if got := w.addressesOf(t, "balanced", 2); strings.Join(got, " ") != "192.0.2.10 2001:db8::10" {
		t.Errorf("the Gateway has the addresses %s", got)
	}
	for i := 1; i <= w.cluster.Nodes(); i++ {
		w.nodePortServes(t, i, svc)
	}
	w.nodesLeave(t, svc)
	w.kubectl(t, "", "delete", "gateway/balanced", "httproute/balanced")
}

// nodesLeave has all nodes' Envoys be not ready, and then the first one ready again.
func (w *world) nodesLeave(t *testing.T, svc service) {
	thaw := make([]func(), w.cluster.Nodes()+1)
	for i := 1; i <= w.cluster.Nodes(); i++ {
		thaw[i] = w.freeze(t, i, "envoy")
	}
	for _, of := range []string{".status", listeners} {
		eventually(t, "the Gateway not to be programmed", func() error {
			return w.condition("gateway/balanced", of, "Programmed", "False Pending")
		})
	}
	thaw[1]()
	eventually(t, "the Gateway to be programmed", func() error {
		return w.condition("gateway/balanced", ".status", "Programmed", "True Programmed")
	})
	w.nodePortServes(t, 1, svc)
	w.nodePortIsClosed(t, 2, svc)
	thaw[2]()
	w.nodePortServes(t, 2, svc)
}

// service is what we look at of a Service.
type service struct {
	Spec struct {
		Ports               []struct{ NodePort, TargetPort int }
		HealthCheckNodePort int
	}
}

// nodePortServes waits until a node serves at its port, at its address of each
// family, and a load balancer's health check says so. The backend sees the
// client's own address: nothing on the way has changed it.
func (w *world) nodePortServes(t *testing.T, node int, svc service) {
	t.Helper()
	for _, ends := range w.ends(t, node) {
		health := at(ends.node, fmt.Sprint(svc.Spec.HealthCheckNodePort), "/healthz")
		eventually(t, health, func() error { return w.get(w.cluster.Control(), health, 200) })
		url := at(ends.node, fmt.Sprint(svc.Spec.Ports[0].NodePort), "/")
		eventually(t, url, func() error {
			a, err := w.cluster.Control().Get(w.ctx, url)
			if err != nil {
				return err
			}
			var said struct{ Headers map[string][]string }
			if err := json.Unmarshal(a.Body, &said); err != nil {
				return err
			}
			if got := said.Headers["X-Forwarded-For"]; len(got) != 1 || got[0] != ends.client {
				return fmt.Errorf("the backend sees the client %s, who is %s", got, ends.client)
			}
			return nil
		})
	}
}

// nodePortIsClosed checks that a node takes no connections that another one would
// have to serve, and that a load balancer is told to send it none.
func (w *world) nodePortIsClosed(t *testing.T, node int, svc service) {
	t.Helper()
	for _, ends := range w.ends(t, node) {
		health := at(ends.node, fmt.Sprint(svc.Spec.HealthCheckNodePort), "/healthz")
		eventually(t, health, func() error { return w.get(w.cluster.Control(), health, 503) })
		url := at(ends.node, fmt.Sprint(svc.Spec.Ports[0].NodePort), "/")
		ctx, cancel := context.WithTimeout(w.ctx, time.Second)
		a, err := w.cluster.Control().Get(ctx, url)
		cancel()
		if err == nil {
			t.Errorf("%s: %d, from a node without a ready Envoy", url, a.Status)
		}
	}
}

// ends are the addresses, of a family, between which a connection goes.
type ends struct{ client, node string }

// ends are those from the control plane, which is outside of the cluster's
// nodes, to a node: one of each family.
func (w *world) ends(t *testing.T, node int) (both []ends) {
	t.Helper()
	out := w.kubectl(t, "", "get", "node", fmt.Sprintf("node%d", node), "-o", `jsonpath={.status.addresses[?(@.type=="InternalIP")].address}`)
	for _, a := range strings.Fields(out) {
		addr, err := netip.ParseAddr(a)
		w.must(t, err)
		nodes := w.cluster.Config().Ranges.Nodes
		if addr.Is6() {
			nodes = w.cluster.Config().Ranges.Nodes6
		}
		both = append(both, ends{client: nodes.Masked().Addr().Next().String(), node: a})
	}
	if len(both) != 2 {
		t.Fatalf("node %d has the addresses %q, want one of each family", node, out)
	}
	return both
}

// freeze stops a process of Sluice on a node as one that hangs is stopped: probes
// of it fail, and what it minds goes on. thaw lets it go on.
func (w *world) freeze(t *testing.T, node int, role string) (thaw func()) {
	t.Helper()
	pid := w.processOf(t, node, role)
	w.must(t, syscall.Kill(pid, syscall.SIGSTOP))
	done := false
	thaw = func() {
		if !done {
			done = true
			w.must(t, ignore(syscall.Kill(pid, syscall.SIGCONT), syscall.ESRCH))
		}
	}
	t.Cleanup(thaw)
	return thaw
}

// ignore returns the error unless it is one of these.
func ignore(err error, these ...error) error {
	for _, e := range these {
		if errors.Is(err, e) {
			return nil
		}
	}
	return err
}

// condition looks at a condition, as "Status Reason", of what is at a path below an object.
func (w *world) condition(object, path, kind, want string) error {
	args := strings.Fields(object) // Maybe with a namespace.
	out, err := w.cluster.Kubectl(w.ctx, append([]string{"get"}, append(args, "-o",
		fmt.Sprintf(`jsonpath={%[1]s.conditions[?(@.type=="%[2]s")].status} {%[1]s.conditions[?(@.type=="%[2]s")].reason}`, path, kind))...)...)
	if err == nil && out != want {
		err = fmt.Errorf("%s %s: %s is %q, want %q", object, path, kind, out, want)
	}
	return err
}
