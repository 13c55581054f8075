package trust

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

// Publisher publishes the trust bundle.
type Publisher struct {
	Client corev1client.ConfigMapsGetter
	// From is the namespace of the operator's ConfigMap, and To that of the
	// published one.
	From, To string
	// Overlap is how long authorities that were taken out are trusted: longer than
	// certificates live.
	Overlap time.Duration
	Log     *slog.Logger
}

// retry is the pause after a failure to publish.
const retry = 5 * time.Second

// Run publishes until ctx is done.
func (p *Publisher) Run(ctx context.Context) error {
	if p.Client == nil || p.From == "" || p.To == "" || p.Overlap <= 0 || p.Log == nil {
		return errors.New("the trust bundle is published with a client, from a namespace, to another, with an overlap: one is missing")
	}
	news := make(chan struct{}, 1)
	var group sync.WaitGroup
	defer group.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for namespace, name := range map[string]string{p.From: SourceName, p.To: BundleName} {
		group.Go(func() {
			followOne(ctx, p.Client, namespace, name, p.Log, func(*corev1.ConfigMap) {
				select {
				case news <- struct{}{}:
				default:
				}
			})
		})
	}
	var last error
	for {
		again, err := p.publish(ctx, time.Now())
		if err != nil && ctx.Err() == nil && (last == nil || last.Error() != err.Error()) {
			p.Log.Error("the trust bundle is not published; what is published stays in force", "err", err)
		}
		last = err
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-news:
		case <-again:
		}
	}
}

// publish brings the published bundle in line. It returns what tells when to look
// again, nil for not before there is news.
func (p *Publisher) publish(ctx context.Context, now time.Time) (<-chan time.Time, error) {
	maps := p.Client.ConfigMaps
	source, err := maps(p.From).Get(ctx, SourceName, metav1.GetOptions{})
	if err != nil {
		return time.After(retry), fmt.Errorf("read the operator's ConfigMap %s/%s: %w", p.From, SourceName, err)
	}
	wish, err := ReadWish(source.Data)
	if err != nil {
		return nil, fmt.Errorf("ConfigMap %s/%s: %w", p.From, SourceName, err)
	}
	var was Published
	there, err := maps(p.To).Get(ctx, BundleName, metav1.GetOptions{})
	switch {
	case err == nil:
		if was, err = Read(there.Data, there.Annotations); err != nil {
			p.Log.Warn("what is published of the trust bundle cannot be read; it is made anew", "err", err)
		}
	case !apierrors.IsNotFound(err):
		return time.After(retry), fmt.Errorf("read what is published: %w", err)
	}
	next, again, err := Next(was, wish, p.Overlap, now)
	if err != nil {
		return nil, fmt.Errorf("ConfigMap %s/%s: %w", p.From, SourceName, err)
	}
	if !next.Equal(was) {
		if err := p.write(ctx, next); err != nil {
			return time.After(retry), fmt.Errorf("publish: %w", err)
		}
	}
	if again.IsZero() {
		return nil, nil
	}
	return time.After(time.Until(again)), nil
}

// write applies the ConfigMap.
func (p *Publisher) write(ctx context.Context, next Published) error {
	data, annotations, err := next.Write()
	if err != nil {
		return err
	}
	m := applycorev1.ConfigMap(BundleName, p.To).WithLabels(map[string]string{"app.kubernetes.io/managed-by": "sluice"}).WithAnnotations(annotations).WithData(data)
	if _, err := p.Client.ConfigMaps(p.To).Apply(ctx, m, metav1.ApplyOptions{FieldManager: "sluice-trust", Force: true}); err != nil {
		return err
	}
	for _, r := range next.Bundle.Roots() {
		p.Log.Info("trusted", "authority", string(r.Fingerprint), "subject", r.Certificate.Subject.String(), "until", r.Certificate.NotAfter.UTC().Format(time.RFC3339), "retiring", r.Retiring)
	}
	return nil
}
