package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"sluice.io/sluice/observe/explain"
)

// serveAPI answers the command line on a unix socket that only root may open.
func (a *Agent) serveAPI(ctx context.Context) error {
	path := a.cfg.APISocket()
	// A socket left by an agent that was killed; the lock says that it is dead.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the old API socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("listen for the command line: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return errors.Join(err, listener.Close())
	}
	server := &http.Server{Handler: a.routes(), ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	err = server.Serve(listener)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("serve the API: %w", err)
}

func (a *Agent) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, a.status(), nil)
	})
	mux.HandleFunc("GET /v1/mesh", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, NewDocument(a.state.mesh(), a.state.workloads(), a.state.said()), nil)
	})
	mux.HandleFunc("GET /v1/maps", func(w http.ResponseWriter, _ *http.Request) {
		dump, err := a.kernel.Dump()
		reply(w, dump, err)
	})
	mux.HandleFunc("POST /v1/explain", func(w http.ResponseWriter, r *http.Request) {
		var q explain.Query
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&q); err != nil {
			http.Error(w, "read the query: "+err.Error(), http.StatusBadRequest)
			return
		}
		answer, err := a.explain(q)
		reply(w, answer, err)
	})
	return mux
}

func reply(w http.ResponseWriter, v any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "encode the answer: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // the client has gone: nobody to tell
}
