package envoy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// admin asks Envoy's admin interface, which listens on a unix socket.
func (c Config) admin(ctx context.Context, method, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", c.adminSocket())
		},
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, method, "http://envoy"+path, nil)
	if err != nil {
		return "", fmt.Errorf("ask Envoy for %s: %w", path, err)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return "", fmt.Errorf("ask Envoy for %s: %w", path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return "", fmt.Errorf("ask Envoy for %s: %w", path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("ask Envoy for %s: %s: %s", path, resp.Status, strings.TrimSpace(string(body)))
	}
	return string(body), nil
}

// live tells whether Envoy has its first configuration and serves; gone, whether
// nobody listens on the admin socket at all.
func (c Config) live(ctx context.Context) (live, gone bool) {
	body, err := c.admin(ctx, http.MethodGet, "/ready")
	gone = errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.ENOENT)
	return err == nil && strings.HasPrefix(body, "LIVE"), gone
}
