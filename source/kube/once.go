package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"sluice.io/sluice/source"
)

// onceTimeout bounds the time in which an API server must have answered.
const onceTimeout = 20 * time.Second

// Once reads a cluster as it is now. Where nobody answers it fails at once: only
// who watches has reason to try again.
func Once(ctx context.Context, o Options) (source.Batch, error) {
	s, err := New(o)
	if err != nil {
		return source.Batch{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, onceTimeout)
	defer cancel()
	if err := reach(ctx, o.Config); err != nil {
		return source.Batch{}, err
	}
	var first source.Batch
	read := false
	err = s.Run(ctx, func(b source.Batch) {
		if !read {
			first, read = b, true
		}
		cancel()
	})
	if err == nil && !read {
		err = fmt.Errorf("the API server at %s has not answered: %s", o.Config.Host, s.inbox.why())
	}
	return first, err
}

// reach asks an API server for its version; an answer of any kind will do.
func reach(ctx context.Context, config *rest.Config) error {
	client, err := rawClient(config)
	if err != nil {
		return err
	}
	_, err = client.Get().AbsPath("/version").DoRaw(ctx)
	if status := apierrors.APIStatus(nil); err == nil || errors.As(err, &status) {
		return nil
	}
	return fmt.Errorf("reach the API server at %s: %w", config.Host, err)
}
