package kube

import (
	"context"
	"fmt"
	"time"

	"sluice.io/sluice/source"
)

// onceTimeout bounds the time in which an API server must have answered.
const onceTimeout = 20 * time.Second

// Once reads a cluster as it is now.
func Once(ctx context.Context, o Options) (source.Batch, error) {
	s, err := New(o)
	if err != nil {
		return source.Batch{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, onceTimeout)
	defer cancel()
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
