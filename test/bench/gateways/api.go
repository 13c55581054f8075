package gateways

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"sluice.io/sluice/test/cluster"
)

// api is a client of the API server. It keeps its connection, so that the time
// of a write is that of the write.
type api struct {
	client *http.Client
	url    string
}

func newAPI(c *cluster.Cluster) (*api, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	cfg.Dial, cfg.Timeout = c.Control().DialContext, 5*time.Minute
	client, err := rest.HTTPClientFor(cfg)
	return &api{client, c.URL()}, err
}

// close ends the connections.
func (a *api) close() { a.client.CloseIdleConnections() }

// apiError is an answer of the API server that is no success.
type apiError struct {
	request string
	code    int
	text    string
}

func (e *apiError) Error() string { return fmt.Sprintf("%s: %d: %s", e.request, e.code, e.text) }

// do sends a request with a body of JSON, if any; into may be nil.
func (a *api) do(ctx context.Context, method, path, body string, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, a.url+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		req.Header.Set("Content-Type", "application/merge-patch+json")
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode >= 300 {
		return &apiError{method + " " + path, resp.StatusCode, strings.TrimSpace(string(b))}
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(b, into)
}

func (a *api) get(ctx context.Context, path string, into any) error {
	return a.do(ctx, http.MethodGet, path, "", into)
}

func (a *api) create(ctx context.Context, path, body string) error {
	return a.do(ctx, http.MethodPost, path, body, nil)
}

func (a *api) patch(ctx context.Context, path, body string) error {
	return a.do(ctx, http.MethodPatch, path, body, nil)
}

func (a *api) remove(ctx context.Context, path string) error {
	return a.do(ctx, http.MethodDelete, path, "", nil)
}

// each calls f for the numbers from begin up to end, some at a time.
func each(ctx context.Context, begin, end int, f func(context.Context, int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i := begin; i < end && ctx.Err() == nil; i++ {
		g.Go(func() error { return f(ctx, i) })
	}
	return g.Wait()
}

// eventually tries until it works.
func eventually(ctx context.Context, what string, within, pause time.Duration, try func() error) error {
	for start := time.Now(); ; {
		err := try()
		if err == nil {
			return nil
		}
		if time.Since(start) > within {
			return fmt.Errorf("wait for %s: %w", what, err)
		}
		if ended := sleep(ctx, pause); ended != nil {
			return fmt.Errorf("wait for %s: %w", what, errors.Join(err, ended))
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
