package kube

import (
	"context"
	"log/slog"

	"k8s.io/klog/v2"
)

// QuietLibraries sends what client-go logs to a log of ours, as details: what matters of
// it is told by those who use it.
func QuietLibraries(log *slog.Logger) {
	klog.SetSlogLogger(slog.New(details{log.With("part", "client-go").Handler()}))
}

// details makes every record one of debugging.
type details struct{ slog.Handler }

// Enabled leaves out what client-go itself holds for too detailed: bodies of
// requests and answers, with Secrets in them.
func (d details) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo && d.Handler.Enabled(ctx, slog.LevelDebug)
}

func (d details) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return d.Handler.Handle(ctx, r)
}

func (d details) WithAttrs(attrs []slog.Attr) slog.Handler {
	return details{d.Handler.WithAttrs(attrs)}
}

func (d details) WithGroup(name string) slog.Handler { return details{d.Handler.WithGroup(name)} }
