package kube

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"syscall"
	"testing"

	"k8s.io/client-go/rest"
)

// TestOnceNeedsAnAnswer: it does not wait for an API server that refuses connections.
func TestOnceNeedsAnAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), onceTimeout/2)
	defer cancel()
	_, err = Once(ctx, Options{Config: &rest.Config{Host: "https://" + host}, Log: slog.New(slog.DiscardHandler)})
	if !errors.Is(err, syscall.ECONNREFUSED) || ctx.Err() != nil {
		t.Errorf("without an API server: %v, want a refused connection, at once", err)
	}
}
