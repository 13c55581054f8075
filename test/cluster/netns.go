package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"sluice.io/sluice/test/namespaces"
)

// Place is a network namespace of the cluster: the control plane's, a node's, a pod's.
type Place struct {
	// Name says whose it is.
	Name string
	// Netns is a path of the namespace, good for as long as what it belongs to.
	Netns string
}

// Do runs f on a thread of its own in the place. Sockets and processes that f
// makes, other than in goroutines that it starts, belong there.
func (p Place) Do(f func() error) error { return namespaces.Do(p.Netns, f) }

// Start starts a program of the host in the place.
func (p Place) Start(cmd *exec.Cmd) error { return p.Do(cmd.Start) }

// Run runs a program of the host in the place, to its end, and returns what it
// printed on its standard output.
func (p Place) Run(ctx context.Context, args ...string) (string, error) {
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := p.Start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return out.String(), fmt.Errorf("%s: %s: %w\n%s", p.Name, strings.Join(args, " "), errors.Join(err, ctx.Err()), bytes.TrimSpace(errOut.Bytes()))
	}
	return out.String(), nil
}

// DialContext connects from the place. The address is one of IP and port.
func (p Place) DialContext(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	err = p.Do(func() error {
		var d net.Dialer
		conn, err = d.DialContext(ctx, network, addr)
		return err
	})
	return conn, err
}

// Answer is what a server said.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Get asks for a URL from the place, over a connection of its own, and follows no
// redirect. It gives up after five seconds.
func (p Place) Get(ctx context.Context, url string) (*Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return p.Ask(req, nil)
}

// Ask sends a request from the place, as Get does; config is for https.
func (p Place) Ask(req *http.Request, config *tls.Config) (*Answer, error) {
	transport := &http.Transport{DialContext: p.DialContext, DisableKeepAlives: true, TLSClientConfig: config}
	ctx, cancel := context.WithTimeout(req.Context(), 5*time.Second)
	defer cancel()
	resp, err := transport.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	return &Answer{resp.StatusCode, resp.Header, body}, nil
}

// removeNetns removes the network namespaces of a cluster.
func removeNetns(cluster string) error {
	paths, err := filepath.Glob(filepath.Join(namespaces.Dir, cluster+"-*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range paths {
		errs = append(errs, namespaces.Delete(path))
	}
	return errors.Join(errs...)
}

// sysctls writes settings below /proc/sys/net of the place; those of features
// that the kernel lacks have no file, and need none.
func (p Place) sysctls(settings map[string]string) error {
	return p.Do(func() error {
		for name, value := range settings {
			err := os.WriteFile(filepath.Join("/proc/sys/net", name), []byte(value), 0)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%s: sysctl: %w", p.Name, err)
			}
		}
		return nil
	})
}
