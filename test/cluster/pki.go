package cluster

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// authority signs certificates into a folder: NAME.crt and NAME.key.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  crypto.Signer
}

func newAuthority(dir, name, commonName string) (*authority, error) {
	a := &authority{dir: dir}
	t := &x509.Certificate{
		Subject:               pkix.Name{CommonName: commonName},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	var err error
	a.cert, a.key, err = a.issue(name, t)
	return a, err
}

// client makes a client's certificate; to Kubernetes, it says user and groups.
func (a *authority) client(name, user string, groups ...string) error {
	_, _, err := a.issue(name, &x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err
}

func (a *authority) server(name, commonName string, addrs []netip.Addr, names ...string) error {
	t := &x509.Certificate{
		Subject:     pkix.Name{CommonName: commonName},
		DNSNames:    names,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, addr := range addrs {
		t.IPAddresses = append(t.IPAddresses, net.IP(addr.AsSlice()))
	}
	_, _, err := a.issue(name, t)
	return err
}

// issue signs the template, by itself when there is no authority yet.
func (a *authority) issue(name string, t *x509.Certificate) (*x509.Certificate, crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	t.NotBefore, t.NotAfter = time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0)
	if t.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		return nil, nil, err
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = t, key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), signer)
	if err != nil {
		return nil, nil, fmt.Errorf("sign %s: %w", name, err)
	}
	if err := writePEM(filepath.Join(a.dir, name+".crt"), "CERTIFICATE", der); err != nil {
		return nil, nil, err
	}
	if err := writeKey(filepath.Join(a.dir, name+".key"), key); err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return cert, key, err
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(path, "EC PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

// writePKI makes all certificates and keys of the cluster, and the kubeconfigs.
func (c *Cluster) writePKI() error {
	if err := os.MkdirAll(c.pki(""), 0o700); err != nil {
		return err
	}
	ca, err := newAuthority(c.pki(""), "ca", "kubernetes")
	if err != nil {
		return err
	}
	// Aggregated API servers trust an authority of their own. Without one, the
	// controller manager and the scheduler complain of it all the time.
	front, err := newAuthority(c.pki(""), "front-proxy-ca", "front-proxy")
	if err != nil {
		return err
	}
	if err := front.client("front-proxy-client", "front-proxy-client"); err != nil {
		return err
	}
	if err := c.writeServiceAccountKey(); err != nil {
		return err
	}
	addrs := append(c.cfg.controlAddrs(), netip.MustParseAddr("127.0.0.1"))
	addrs = append(addrs, nth(c.cfg.serviceRanges(), 1)...)
	err = ca.server("apiserver", "kube-apiserver", addrs,
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost")
	if err != nil {
		return err
	}
	if err := ca.client("kubelet-client", "kube-apiserver-kubelet-client", "system:masters"); err != nil {
		return err
	}
	return c.writeKubeconfigs(ca)
}

// writeServiceAccountKey makes the keys that sign and check service account tokens.
func (c *Cluster) writeServiceAccountKey() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if err := writeKey(c.pki("sa.key"), key); err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return writePEM(c.pki("sa.pub"), "PUBLIC KEY", der)
}

func (c *Cluster) writeKubeconfigs(ca *authority) error {
	type client struct{ name, user, group string }
	clients := []client{
		{"admin", "admin", "system:masters"},
		{"controller-manager", "system:kube-controller-manager", ""},
		{"scheduler", "system:kube-scheduler", ""},
		{"kube-proxy", "system:kube-proxy", ""},
		{"coredns", "coredns", "system:masters"},
	}
	for i := 1; i <= c.cfg.Nodes; i++ {
		name := nodeName(i)
		clients = append(clients, client{name, "system:node:" + name, "system:nodes"})
		if err := ca.server(name+"-serving", "system:node:"+name, c.cfg.nodeAddrs(i), name); err != nil {
			return err
		}
	}
	for _, cl := range clients {
		var groups []string
		if cl.group != "" {
			groups = []string{cl.group}
		}
		if err := ca.client(cl.name, cl.user, groups...); err != nil {
			return err
		}
		if err := c.writeKubeconfig(cl.name); err != nil {
			return err
		}
	}
	return nil
}

// writeKubeconfig writes NAME.kubeconfig, which holds all that a client needs.
func (c *Cluster) writeKubeconfig(name string) error {
	data := make([]any, 0, 6)
	data = append(data, c.cfg.Name, c.URL(), name)
	for _, file := range []string{"ca.crt", name + ".crt", name + ".key"} {
		b, err := os.ReadFile(c.pki(file))
		if err != nil {
			return err
		}
		data = append(data, base64.StdEncoding.EncodeToString(b))
	}
	return os.WriteFile(c.kubeconfig(name), fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: %[1]s
contexts: [{name: %[1]s, context: {cluster: %[1]s, user: %[3]s}}]
clusters: [{name: %[1]s, cluster: {server: "%[2]s", certificate-authority-data: %[4]s}}]
users: [{name: %[3]s, user: {client-certificate-data: %[5]s, client-key-data: %[6]s}}]
`, data...), 0o600)
}

// pki is the path of a file of the PKI.
func (c *Cluster) pki(file string) string { return filepath.Join(c.cfg.Dir, "pki", file) }

// kubeconfig is the path of a client's kubeconfig.
func (c *Cluster) kubeconfig(client string) string {
	return filepath.Join(c.cfg.Dir, client+".kubeconfig")
}
