package install_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice.io/sluice/test/cluster/build"
	"sluice.io/sluice/test/install"
)

// bad is an input with a mistake in it, in the namespace bad.
type bad struct {
	name    string
	objects string
	// What the condition of an object says.
	object, path, condition, want string
	// What a request for the host answers at the Gateway front; none when 0.
	host   string
	status int
}

// badRoute is an HTTPRoute of the Gateway front for a host.
func badRoute(name, host, parent, backend string) string {
	return fmt.Sprintf(`---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %s, namespace: bad}
spec:
  hostnames: [%s]
  parentRefs: [{name: front, namespace: default%s}]
  rules: [{backendRefs: [%s]}]
`, name, host, parent, backend)
}

// badGateway is a Gateway with these listeners.
func badGateway(name string, listeners ...string) string {
	return fmt.Sprintf(`---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: %s, namespace: bad}
spec: {gatewayClassName: %s, listeners: [%s]}
`, name, install.GatewayClass, strings.Join(listeners, ", "))
}

func httpsListener(name, secret string) string {
	return fmt.Sprintf("{name: %s, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: %s}]}}", name, secret)
}

// secret is one of type kubernetes.io/tls.
func secret(namespace, name string, crt, key []byte) string {
	text := base64.StdEncoding.EncodeToString
	return fmt.Sprintf(`---
apiVersion: v1
kind: Secret
metadata: {name: %s, namespace: %s}
type: kubernetes.io/tls
data: {tls.crt: %s, tls.key: %s}
`, name, namespace, text(crt), text(key))
}

const (
	parents   = ".status.parents[0]"
	listeners = ".status.listeners[0]"
)

func badInputs(crt, key, otherKey []byte) []bad {
	return []bad{
		{
			name:    "no ReferenceGrant",
			objects: badRoute("ungranted", "ungranted.example", "", "{name: echo, namespace: default, port: 80}"),
			object:  "httproute/ungranted", path: parents, condition: "ResolvedRefs", want: "False RefNotPermitted", host: "ungranted.example", status: 500,
		}, {
			name:    "no such Service",
			objects: badRoute("nowhere", "nowhere.example", "", "{name: nowhere, port: 80}"),
			object:  "httproute/nowhere", path: parents, condition: "ResolvedRefs", want: "False BackendNotFound", host: "nowhere.example", status: 500,
		}, {
			name:    "backend of an unknown kind",
			objects: badRoute("kind", "kind.example", "", "{group: example.com, kind: Bucket, name: echo, port: 80}"),
			object:  "httproute/kind", path: parents, condition: "ResolvedRefs", want: "False InvalidKind", host: "kind.example", status: 500,
		}, {
			name:    "no such listener",
			objects: badRoute("section", "section.example", ", sectionName: other", "{name: nowhere, port: 80}"),
			object:  "httproute/section", path: parents, condition: "Accepted", want: "False NoMatchingParent",
		}, {
			name:    "listeners that cannot be told apart",
			objects: badGateway("conflict", "{name: a, port: 80, protocol: HTTP}", "{name: b, port: 80, protocol: TCP}"),
			object:  "gateway/conflict", path: listeners, condition: "Conflicted", want: "True ProtocolConflict",
		}, {
			name: "listener that another one already is",
			objects: strings.Replace(badGateway("host", "{name: a, port: 80, protocol: HTTP}"), "spec: {", "spec: {allowedListeners: {namespaces: {from: Same}}, ", 1) + `---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: guest, namespace: bad}
spec: {parentRef: {name: host}, listeners: [{name: b, port: 80, protocol: HTTP}]}
`,
			object: "listenerset/guest", path: listeners, condition: "Conflicted", want: "True HostnameConflict",
		}, {
			name:    "unknown protocol",
			objects: badGateway("protocol", "{name: a, port: 80, protocol: example.com/gopher}"),
			object:  "gateway/protocol", path: listeners, condition: "Accepted", want: "False UnsupportedProtocol",
		}, {
			name:    "no such Secret",
			objects: badGateway("unkept", httpsListener("a", "unkept")),
			object:  "gateway/unkept", path: listeners, condition: "ResolvedRefs", want: "False InvalidCertificateRef",
		}, {
			name:    "certificate that is none",
			objects: secret("bad", "garbage", []byte("garbage"), key) + badGateway("garbage", httpsListener("a", "garbage")),
			object:  "gateway/garbage", path: listeners, condition: "ResolvedRefs", want: "False InvalidCertificateRef",
		}, {
			name:    "certificate with the key of another",
			objects: secret("bad", "mixed", crt, otherKey) + badGateway("mixed", httpsListener("a", "mixed")),
			object:  "gateway/mixed", path: listeners, condition: "Programmed", want: "False Invalid",
		}, {
			name: "Secret of another namespace without a ReferenceGrant",
			objects: secret("default", "theirs", crt, key) +
				badGateway("theirs", strings.Replace(httpsListener("a", "theirs"), "name: theirs", "name: theirs, namespace: default", 1)),
			object: "gateway/theirs", path: listeners, condition: "ResolvedRefs", want: "False RefNotPermitted",
		}, {
			name: "backend's authority that is not there",
			objects: `---
apiVersion: v1
kind: Service
metadata: {name: sealed, namespace: bad}
spec: {ports: [{port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: sealed, namespace: bad}
spec:
  targetRefs: [{group: "", kind: Service, name: sealed}]
  validation: {hostname: sealed.example, caCertificateRefs: [{group: "", kind: ConfigMap, name: nowhere}]}
` + badRoute("sealed", "sealed.example", "", "{name: sealed, port: 80}"),
			object: "backendtlspolicy/sealed", path: ".status.ancestors[0]", condition: "ResolvedRefs", want: "False InvalidCACertificateRef",
			host: "sealed.example", status: 503,
		},
	}
}

// badInput: what cannot be served says why, and nothing else notices.
func (w *world) badInput(t *testing.T) {
	crt, key, err := build.SelfSigned("front.example")
	w.must(t, err)
	_, otherKey, err := build.SelfSigned("front.example")
	w.must(t, err)
	w.kubectl(t, namespaceBad, "apply", "-f", "-")
	before := w.conditionsOf(t)
	c := w.steady(t, 1, steadyPause)
	for _, b := range badInputs(crt, key, otherKey) {
		t.Run(strings.ReplaceAll(b.name, " ", "_"), func(t *testing.T) { w.isBad(t, b) })
	}
	if after := w.conditionsOf(t); after != before {
		t.Errorf("conditions of what is good were\n%s\nand are\n%s", before, after)
	}
	t.Run("deleted_Secret", func(t *testing.T) { w.secretGoes(t) })
	w.kubectl(t, "", "delete", "namespace/bad", "secret/theirs")
	c.expectNoFailure(t)
}

// namespaceBad is where the mistakes are.
const namespaceBad = `---
apiVersion: v1
kind: Namespace
metadata: {name: bad}
`

// isBad makes a mistake, and looks at its condition and at what clients see.
func (w *world) isBad(t *testing.T, b bad) {
	w.kubectl(t, b.objects, "apply", "-f", "-")
	eventually(t, b.name, func() error { return w.condition("-n bad "+b.object, b.path, b.condition, b.want) })
	if b.status == 0 {
		return
	}
	for _, addr := range w.addresses {
		eventually(t, b.name, func() error { return w.asks(addr, b.host, b.status) })
	}
}

// asks for a host at an address of the Gateway.
func (w *world) asks(addr, host string, want int) error {
	req, err := http.NewRequestWithContext(w.ctx, http.MethodGet, at(addr, "", "/"), nil)
	if err != nil {
		return err
	}
	req.Host = host
	a, err := w.cluster.Control().Ask(req, nil)
	if err == nil && a.Status != want {
		err = fmt.Errorf("%s at %s: %d, want %d", host, addr, a.Status, want)
	}
	return err
}

// conditionsOf are the conditions of the Gateway and of a route of it, with the
// times of their last changes.
func (w *world) conditionsOf(t *testing.T) string {
	t.Helper()
	return w.kubectl(t, "", "get", "gateway/front", "httproute/echo", "-o",
		`jsonpath={range .items[*]}{.metadata.name} {.status.conditions} {.status.listeners[*].conditions} {.status.parents}{"\n"}{end}`)
}

// secretGoes: a listener whose certificate goes away takes no connections any
// more, the Gateway's others go on, and it serves again when there is one.
func (w *world) secretGoes(t *testing.T) {
	const https = `.status.listeners[?(@.name=="https")]`
	w.kubectl(t, "", "delete", "secret/front")
	eventually(t, "the listener without a certificate", func() error {
		return w.condition("gateway/front", https, "ResolvedRefs", "False InvalidCertificateRef")
	})
	w.must(t, w.condition("gateway/front", https, "Programmed", "False Invalid"))
	w.must(t, w.condition("gateway/front", ".status", "Programmed", "True Programmed"))
	for _, addr := range w.addresses {
		eventually(t, "connections to be refused", func() error {
			return w.refusesTLS(addr)
		})
	}
	w.servesTLS(t, w.renew(t))
}

// refusesTLS wants no certificate at all at an address.
func (w *world) refusesTLS(addr string) error {
	conn, err := w.cluster.Control().DialContext(w.ctx, "tcp", net.JoinHostPort(addr, "443"))
	if err != nil {
		return nil // refused: there is no listener
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(w.ctx, 5*time.Second)
	defer cancel()
	client := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // Any certificate would do.
	if err := client.HandshakeContext(ctx); err == nil {
		return fmt.Errorf("%s shows the certificate of %s", addr, client.ConnectionState().PeerCertificates[0].Subject)
	}
	return nil
}

// servesTLS waits until the Gateway shows its certificate.
func (w *world) servesTLS(t *testing.T, trust *x509.CertPool) {
	t.Helper()
	for _, addr := range w.addresses {
		eventually(t, "the certificate", func() error { return w.handshake(addr, trust) })
	}
}

// handshake asks over TLS.
func (w *world) handshake(addr string, trust *x509.CertPool) error {
	req, err := http.NewRequestWithContext(w.ctx, http.MethodGet, "https://"+net.JoinHostPort(addr, "443")+"/", nil)
	if err != nil {
		return err
	}
	a, err := w.cluster.Control().Ask(req, &tls.Config{ServerName: "front.example", RootCAs: trust})
	if err == nil && a.Status != 200 {
		err = fmt.Errorf("https: %d", a.Status)
	}
	return err
}
