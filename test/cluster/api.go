package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Client is an HTTP client of the API server as administrator, from any place.
func (c *Cluster) Client() (*http.Client, error) {
	cert, err := tls.LoadX509KeyPair(c.pki("admin.crt"), c.pki("admin.key"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(c.pki("ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &http.Client{Transport: &http.Transport{
		DialContext:     c.Control().DialContext,
		TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: roots, MinVersion: tls.VersionTLS12},
		// No connection, and no goroutine, outlives its request.
		DisableKeepAlives: true,
	}}, nil
}

// Get reads an object from the API server; into may be nil.
func (c *Cluster) Get(ctx context.Context, path string, into any) error {
	b, err := c.request(ctx, http.MethodGet, path, "", "")
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(b, into)
}

// Apply makes or changes the object at the path as YAML says, by server-side
// apply. It is what kubectl does, without the time that kubectl takes to start.
func (c *Cluster) Apply(ctx context.Context, path, yaml string) error {
	_, err := c.request(ctx, http.MethodPatch, path+"?fieldManager=test&force=true", "application/apply-patch+yaml", yaml)
	return err
}

// Delete removes the object at the path.
func (c *Cluster) Delete(ctx context.Context, path string) error {
	_, err := c.request(ctx, http.MethodDelete, path, "", "")
	return err
}

func (c *Cluster) request(ctx context.Context, method, path, kind, body string) ([]byte, error) {
	client, err := c.Client()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, c.URL()+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, strings.TrimSpace(string(b)))
	}
	return b, nil
}

func (c *Cluster) apiReady(ctx context.Context) error { return c.Get(ctx, "/readyz", nil) }

// dnsReady asks the cluster's DNS for the API server's Service.
func (c *Cluster) dnsReady(ctx context.Context) error {
	server := net.JoinHostPort(c.cfg.controlAddrs()[0].String(), "53")
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return c.Control().DialContext(ctx, "udp", server)
	}}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := r.LookupHost(ctx, "kubernetes.default.svc.cluster.local.")
	return err
}

// Kubectl runs kubectl as administrator and returns what it printed.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	return c.KubectlWith(ctx, "", args...)
}

// KubectlWith is Kubectl with a text on its standard input.
func (c *Cluster) KubectlWith(ctx context.Context, stdin string, args ...string) (string, error) {
	var out, errOut strings.Builder
	cmd := c.KubectlCommand(ctx, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
	err := c.Control().Start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), errors.Join(err, ctx.Err()), strings.TrimSpace(errOut.String()))
	}
	return out.String(), nil
}

// KubectlCommand prepares kubectl as administrator; it is to be started in the
// control plane's place.
func (c *Cluster) KubectlCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.kube("kubectl"), args...)
	// What it caches of the API goes away with the cluster.
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig(), "KUBECACHEDIR="+filepath.Join(c.cfg.Dir, "kubectl"))
	return cmd
}

// nodeList is what we look at of nodes.
type nodeList struct{ Items []node }

type node struct {
	Metadata struct{ Name string }
	Spec     struct {
		Taints []struct{ Key, Effect string }
	}
	Status struct {
		Conditions []struct{ Type, Status, Message string }
	}
}

// ready says why pods don't get onto the node.
func (n node) ready() error {
	found := false
	for _, cond := range n.Status.Conditions {
		if cond.Type != "Ready" {
			continue
		}
		found = true
		if cond.Status != "True" {
			return fmt.Errorf("%s is not Ready: %s", n.Metadata.Name, cond.Message)
		}
	}
	if !found {
		return fmt.Errorf("%s has no status yet", n.Metadata.Name)
	}
	for _, t := range n.Spec.Taints {
		if strings.HasPrefix(t.Key, "node.kubernetes.io/") {
			return fmt.Errorf("%s has taint %s", n.Metadata.Name, t.Key)
		}
	}
	return nil
}

// Pod is the place of a pod.
func (c *Cluster) Pod(ctx context.Context, namespace, name string) (Place, error) {
	var pod struct {
		Metadata struct{ UID string }
		Spec     struct{ NodeName string }
	}
	if err := c.Get(ctx, "/api/v1/namespaces/"+namespace+"/pods/"+name, &pod); err != nil {
		return Place{}, err
	}
	if pod.Spec.NodeName == "" {
		return Place{}, fmt.Errorf("pod %s/%s is on no node yet", namespace, name)
	}
	// A node's cgroups show the pod's processes by the host's numbers.
	root := filepath.Join(c.state.Cgroups[0], pod.Spec.NodeName, "kubepods")
	for _, class := range []string{"", "besteffort", "burstable"} {
		for _, pid := range processesIn(filepath.Join(root, class, "pod"+pod.Metadata.UID)) {
			return Place{namespace + "/" + name, "/proc/" + pid + "/ns/net"}, nil
		}
	}
	return Place{}, fmt.Errorf("pod %s/%s has no process on %s yet", namespace, name, pod.Spec.NodeName)
}
