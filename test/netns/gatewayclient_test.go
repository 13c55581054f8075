package netns

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice.io/sluice/test/apps/echo"
	"sluice.io/sluice/test/netns/lab"
)

// gateway is a Gateway of a test, with addresses of its own.
type gateway struct {
	s    *space
	name string
	lab.VIP
}

// gateway declares a Gateway with listeners, a YAML list at no indentation.
func (s *space) gateway(name, listeners string) *gateway {
	s.t.Helper()
	g := &gateway{s: s, name: name, VIP: s.GatewayAddrs()}
	g.listen(listeners)
	return g
}

// listen declares the Gateway with other listeners.
func (g *gateway) listen(listeners string) {
	g.s.t.Helper()
	g.s.gatewayClass()
	g.s.apply("gateway-"+g.name, fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: %s, namespace: $NS}
spec:
  gatewayClassName: sluice
  addresses: [{type: IPAddress, value: "%s"}, {type: IPAddress, value: "%s"}]
  listeners:
%s`, g.name, g.V4, g.V6, indent(listeners, "  ")))
}

func indent(text, by string) string {
	return by + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+by) + "\n"
}

// gatewayClass declares what all Gateways of the world share.
func (s *space) gatewayClass() {
	s.t.Helper()
	s.world.gateways.Do(func() {
		err := s.Folder.Write("gateways.yaml", fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: sluice}
spec: {controllerName: sluice.io/gateway-controller}
---
apiVersion: sluice.io/v1alpha1
kind: AddressPool
metadata: {name: pool}
spec: {addresses: [%q, %q]}
`, lab.GatewayPool[0], lab.GatewayPool[1]))
		if err != nil {
			s.t.Error(err)
		}
	})
}

// on is the gateway's address and port of a family.
func (g *gateway) on(family int, port uint16) string {
	return netip.AddrPortFrom(g.Addr(family), port).String()
}

// toGateway is a route that attaches to a listener of a Gateway, and sends all
// requests for a host to a service.
func toGateway(kind, name, gateway, listener, host, rest string) string {
	hosts := ""
	if host != "" {
		hosts = fmt.Sprintf("  hostnames: [%q]\n", host)
	}
	version := "v1"
	if kind == "TCPRoute" || kind == "UDPRoute" {
		version = "v1alpha2"
	}
	return fmt.Sprintf(`---
apiVersion: gateway.networking.k8s.io/%s
kind: %s
metadata: {name: %s, namespace: $NS}
spec:
  parentRefs: [{name: %s, sectionName: %s}]
%s  rules: [{backendRefs: [%s]}]
`, version, kind, name, gateway, listener, hosts, rest)
}

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
	// serial is the number of the latest certificate.
	serial int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: newKey(t), pool: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "slt"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err == nil {
		a.cert, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.cert)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue makes a certificate for names, as PEM; label is its common name, by
// which a test tells certificates apart.
func (a *authority) issue(t *testing.T, label string, names ...string) (cert, key []byte) {
	t.Helper()
	a.serial++
	own := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(a.serial + 1), Subject: pkix.Name{CommonName: label}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.cert, own.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	der8, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der8})
}

// secret declares a Secret with a new certificate.
func (s *space) secret(a *authority, name, label string, names ...string) {
	s.t.Helper()
	cert, key := a.issue(s.t, label, names...)
	s.apply("secret-"+name, fmt.Sprintf(`
apiVersion: v1
kind: Secret
metadata: {name: %s, namespace: $NS}
type: kubernetes.io/tls
data:
  tls.crt: %s
  tls.key: %s
`, name, base64.StdEncoding.EncodeToString(cert), base64.StdEncoding.EncodeToString(key)))
}

// tlsServer makes a pod that serves HTTP over TLS at 8443, beside the usual.
func (s *space) tlsServer(a *authority, name, host string) *lab.Pod {
	s.t.Helper()
	cert, key := a.issue(s.t, name, host)
	dir := s.t.TempDir()
	for file, b := range map[string][]byte{"cert": cert, "key": key} {
		if err := os.WriteFile(filepath.Join(dir, file), b, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	return s.server(name, "--https", ":8443", "--cert", filepath.Join(dir, "cert"), "--key", filepath.Join(dir, "key"))
}

// visit is a request to a gateway, whatever its host: "https://a.example.com/".
type visit struct {
	to string
	// at is the gateway's address and port.
	at  string
	ca  *authority
	h2  bool
	who *http.Client // keeps its connections; nil asks for a new one
}

// visitor is an HTTP client whose connections go to one address.
func (c *client) visitor(at string, ca *authority, h2 bool) *http.Client {
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) { return c.dialer.Dial(ctx, network, at) }
	hc := echo.NewHTTPClient(dial, false)
	tr := hc.Transport.(*http.Transport)
	if ca != nil {
		tr.TLSClientConfig = &tls.Config{RootCAs: ca.pool}
		tr.Protocols.SetHTTP2(h2)
	}
	return hc
}

// visit makes a request to a gateway.
func (c *client) visit(v visit) (*answer, *tls.ConnectionState, error) {
	hc := v.who
	if hc == nil {
		hc = c.visitor(v.at, v.ca, v.h2)
		defer hc.CloseIdleConnections()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.to, nil)
	if err != nil {
		return nil, nil, err
	}
	resp, err := hc.Do(req)
	if err != nil {
		return nil, nil, err
	}
	a, err := read(resp)
	return a, resp.TLS, err
}

// visitName makes a request and returns the name of the server that answered, or
// the code, or the error.
func (c *client) visitName(v visit) string {
	a, _, err := c.visit(v)
	if err != nil {
		return "error: " + err.Error()
	}
	return a.name()
}

// certificate is the label of the certificate that a request was answered with,
// and the server's name.
func (c *client) certificate(v visit) string {
	a, state, err := c.visit(v)
	if err != nil {
		return "error: " + err.Error()
	}
	return cmp.Or(state.PeerCertificates[0].Subject.CommonName, "nobody") + " " + a.name()
}
