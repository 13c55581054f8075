// Package health answers probes: whether a process lives, and whether what it
// is there for works.
//
// It owns the endpoints /livez and /readyz. It must not know what is asked:
// each process brings its own checks.
package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Checks are what a process answers probes with; nil is well.
type Checks struct {
	// Live fails when only a restart can help.
	Live func() error
	// Ready fails while the process cannot do its work.
	Ready func() error
	// More answers other paths, such as /metrics; nil where there are none.
	More http.Handler
}

// Serve answers on an address until ctx is done.
func Serve(ctx context.Context, address string, c Checks) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen for probes: %w", err)
	}
	server := &http.Server{Handler: c.Handler(), ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("answer probes: %w", err)
	}
	return nil
}

// Handler answers /livez and /readyz.
func (c Checks) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", answer(c.Live))
	mux.HandleFunc("GET /readyz", answer(c.Ready))
	if c.More != nil {
		mux.Handle("/", c.More)
	}
	return mux
}

func answer(check func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if check != nil {
			if err := check(); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
		}
		fmt.Fprintln(w, "ok")
	}
}
