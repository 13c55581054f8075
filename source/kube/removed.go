package kube

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
)

// refusedFor is how long an API server must refuse to answer before that counts:
// one that has just started does not know its roles for a moment.
const refusedFor = 5 * time.Second

// Removed tells whether a DaemonSet is gone or going, as opposed to one of its
// pods being replaced. Whoever asks had the right to: when that is gone, so is what
// gave it. An API server that can't be reached says nothing.
func Removed(ctx context.Context, config *rest.Config, namespace, name string) (bool, error) {
	client, err := metadata.NewForConfig(config)
	if err != nil {
		return false, fmt.Errorf("reach the API server: %w", err)
	}
	sets := client.Resource(schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "daemonsets"}).Namespace(namespace)
	for start := time.Now(); ; {
		set, err := sets.Get(ctx, name, metav1.GetOptions{})
		switch {
		case err == nil:
			return set.DeletionTimestamp != nil, nil
		case apierrors.IsNotFound(err):
			return true, nil
		case !apierrors.IsForbidden(err) && !apierrors.IsUnauthorized(err):
			return false, fmt.Errorf("look whether DaemonSet %s/%s is there: %w", namespace, name, err)
		case time.Since(start) > refusedFor:
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("look whether DaemonSet %s/%s is there: %w", namespace, name, ctx.Err())
		case <-time.After(250 * time.Millisecond):
		}
	}
}
