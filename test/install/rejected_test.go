package install_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"sluice.io/sluice/test/install"
)

// datagrams is a Gateway whose port Envoy binds, so that it can fail.
const datagrams = `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: datagrams}
spec:
  gatewayClassName: ` + install.GatewayClass + `
  listeners: [{name: udp, port: 5300, protocol: UDP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: UDPRoute
metadata: {name: datagrams}
spec:
  parentRefs: [{name: datagrams}]
  rules: [{backendRefs: [{name: sink, port: 53}]}]
---
apiVersion: v1
kind: Service
metadata: {name: sink}
spec: {ports: [{port: 53, protocol: UDP}]}
`

// rejected: what nodes' Envoys do not take, here a port that another program has, is
// in the Gateway's status, by node; and it is not when they have taken it.
func (w *world) rejected(t *testing.T) {
	free := make([]func(), w.cluster.Nodes()+1)
	for i := 1; i <= w.cluster.Nodes(); i++ {
		free[i] = w.takePort(t, i, "0.0.0.0:5300")
	}
	w.kubectl(t, datagrams, "apply", "-f", "-")
	says := func(status string, has, hasNot string) {
		t.Helper()
		eventually(t, "the Gateway to be "+status, func() error {
			if err := w.condition("gateway/datagrams", listeners, "Programmed", status); err != nil {
				return err
			}
			out, err := w.cluster.Kubectl(w.ctx, "get", "gateway", "datagrams", "-o", `jsonpath={.status.listeners[0].conditions[?(@.type=="Programmed")].message}`)
			if err == nil && (!strings.Contains(out, has) || hasNot != "" && strings.Contains(out, hasNot)) {
				err = fmt.Errorf("it says %q, want %q and not %q", out, has, hasNot)
			}
			return err
		})
	}
	const inUse = "Address already in use"
	says("False Pending", inUse, "")
	says("False Pending", "node1, node2", "")
	free[1]()
	says("True Programmed", "node2: ", "node1")
	free[2]()
	says("True Programmed", "", inUse)
	eventually(t, "no reports", func() error {
		out, err := w.cluster.Kubectl(w.ctx, "get", "nodereports", "-o", "name")
		if err == nil && out != "" {
			err = fmt.Errorf("there are %s", out)
		}
		return err
	})
	w.kubectl(t, "", "delete", "gateway/datagrams", "udproute/datagrams", "service/sink")
}

// takePort has another program have a node's port.
func (w *world) takePort(t *testing.T, node int, addr string) (free func()) {
	t.Helper()
	var c net.PacketConn
	w.must(t, w.cluster.Node(node).Do(func() (err error) {
		c, err = net.ListenPacket("udp4", addr)
		return err
	}))
	t.Cleanup(func() { _ = c.Close() })
	return func() { _ = c.Close() }
}
