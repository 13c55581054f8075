package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"sluice.io/sluice/observe/explain"
	"sluice.io/sluice/redirect"
)

// ErrNotRunning says that no agent answers on the socket.
var ErrNotRunning = errors.New("no sluice runs here")

// Client asks a running agent.
type Client struct {
	paths Paths
	http  http.Client
}

// NewClient returns a client for the agent that works on these paths.
func NewClient(paths Paths) *Client {
	c := &Client{paths: paths}
	c.http.Transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", paths.APISocket())
		},
	}
	return c
}

// NewClientOver returns a client that reaches an agent in another way than by the
// socket of this machine. Each question has a connection of its own.
func NewClientOver(dial func(context.Context) (net.Conn, error)) *Client {
	c := &Client{}
	c.http.Transport = &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
	}
	return c
}

// Status asks how the agent and its parts are.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	return call[Status](ctx, c, http.MethodGet, "/v1/status", nil)
}

// Mesh asks for the whole mesh.
func (c *Client) Mesh(ctx context.Context) (*Document, error) {
	return call[Document](ctx, c, http.MethodGet, "/v1/mesh", nil)
}

// Maps asks for the content of the kernel's maps.
func (c *Client) Maps(ctx context.Context) (*redirect.Dump, error) {
	return call[redirect.Dump](ctx, c, http.MethodGet, "/v1/maps", nil)
}

// Explain asks what would become of a connection.
func (c *Client) Explain(ctx context.Context, q explain.Query) (*explain.Answer, error) {
	return call[explain.Answer](ctx, c, http.MethodPost, "/v1/explain", q)
}

func call[T any](ctx context.Context, c *Client, method, path string, in any) (*T, error) {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return nil, fmt.Errorf("encode the question: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://sluice"+path, &body)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.explainDial(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(strings.TrimSpace(string(answer)))
	}
	out := new(T)
	if err := json.Unmarshal(answer, out); err != nil {
		return nil, fmt.Errorf("decode the agent's answer: %w", err)
	}
	return out, nil
}

// explainDial turns socket errors into what an operator can act on.
func (c *Client) explainDial(err error) error {
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err // without the address, which is none
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: nothing answers at %s; start `sluice run -f FOLDER`, or name its --run-dir", ErrNotRunning, c.paths.APISocket())
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w any more: it has left %s behind; what it set up stays in force until `sluice run -f FOLDER` takes it over or `sluice uninstall` removes it",
			ErrNotRunning, c.paths.APISocket())
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("open %s: permission denied; run as root", c.paths.APISocket())
	}
	return err
}
