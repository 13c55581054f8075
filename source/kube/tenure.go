package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

// settle is how long a place must be gone before that counts: a DaemonSet that is
// replaced is not there for a moment. An API server that says nothing is asked as long.
const settle = 5 * time.Second

// askTimeout bounds one question.
const askTimeout = 2 * time.Second

// Place is where an agent runs: a DaemonSet has it on a node.
type Place struct{ Namespace, DaemonSet, Node string }

// Tenure tells whether an agent that is stopped has lost its place for good, as
// opposed to making room for the next one.
//
// Only what the API server positively says counts: that the DaemonSet or its
// namespace is going, that the DaemonSet is no longer there or no longer wants the
// node. An answer that the agent may not ask, or is not known, says nothing: it comes with a
// new signing key, with rights that are wrong for a while, and for an agent whose pod
// was deleted by force. Since an uninstallation often takes the right to ask along
// with the DaemonSet, that is watched all the time: what the watch saw last counts where
// a question gets no answer.
type Tenure struct {
	place          Place
	clients        *clients
	log            *slog.Logger
	settle         time.Duration
	set, namespace *sight
}

// NewTenure returns the tenure of a place. It asks the API server nothing yet.
func NewTenure(config *rest.Config, place Place, log *slog.Logger) (*Tenure, error) {
	c, err := newClients(config)
	if err != nil {
		return nil, err
	}
	return &Tenure{
		place: place, clients: c, log: log, settle: settle,
		set:       &sight{resource: daemonSets, namespace: place.Namespace, name: place.DaemonSet},
		namespace: &sight{resource: corev1.SchemeGroupVersion.WithResource("namespaces"), name: place.Namespace},
	}, nil
}

var daemonSets = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "daemonsets"}

// Run watches until ctx is done, which must not be before Ended has returned.
func (t *Tenure) Run(ctx context.Context) {
	defer t.clients.close()
	var watches sync.WaitGroup
	for _, s := range []*sight{t.set, t.namespace} {
		watches.Go(func() { s.watch(ctx, t.clients.metadata) })
	}
	watches.Wait()
}

// word is what is known of a place.
type word int

const (
	silence word = iota // nobody has said anything
	stays               // it is there
	missing             // it is not there, but may come back at once
	over                // it is not there, and won't be
)

// Ended tells whether the place is lost for good, which takes a few seconds where it
// may come back. The error tells why that is not known: then nothing may be removed.
func (t *Tenure) Ended(ctx context.Context) (bool, error) {
	var gone time.Time // when the place was first found missing
	var why error
	for began := time.Now(); ; {
		now, err := t.ask(ctx)
		if now == silence {
			why = err
			now = t.remembered(gone)
		}
		switch {
		case now == stays:
			return false, nil
		case now == over, !gone.IsZero() && time.Since(gone) >= t.settle:
			return true, nil
		case now == missing && gone.IsZero():
			gone = time.Now()
		case gone.IsZero() && time.Since(began) >= t.settle:
			return false, fmt.Errorf("the API server does not say whether DaemonSet %s/%s is there: %w", t.place.Namespace, t.place.DaemonSet, why)
		}
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("look whether DaemonSet %s/%s is there: %w", t.place.Namespace, t.place.DaemonSet, errors.Join(ctx.Err(), why))
		case <-time.After(t.settle / 20):
		}
	}
}

// remembered is what the watch saw last, if that is news since the place was found
// missing. That it was there once is none.
func (t *Tenure) remembered(gone time.Time) word {
	now, at := t.set.last()
	if now == stays && (gone.IsZero() || !at.After(gone)) {
		return silence
	}
	return now
}

// ask asks the API server. The error is why it is silent.
func (t *Tenure) ask(ctx context.Context) (word, error) {
	if now, _ := t.namespace.last(); now == over {
		return over, nil // it never comes back
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var set struct {
		Metadata metav1.ObjectMeta
		Spec     struct {
			Template struct {
				Spec struct{ NodeSelector labels.Set }
			}
		}
	}
	err := t.read(ctx, "/apis/apps/v1/namespaces/"+t.place.Namespace+"/daemonsets/"+t.place.DaemonSet, &set)
	switch {
	case isGone(err) && t.set.seen():
		return missing, nil
	case isGone(err):
		return silence, errors.New("it has not been there since this agent started: is it the agent's?")
	case err != nil:
		return silence, err
	case going(&set.Metadata):
		return over, nil
	}
	return t.wanted(ctx, set.Spec.Template.Spec.NodeSelector), nil
}

// wanted tells whether a DaemonSet wants the node. Taints are left out of it: they
// come and go with a node's state.
func (t *Tenure) wanted(ctx context.Context, selector labels.Set) word {
	if t.place.Node == "" || len(selector) == 0 {
		return stays
	}
	var node metav1.PartialObjectMetadata
	if err := t.read(ctx, "/api/v1/nodes/"+t.place.Node, &node); err != nil {
		t.log.Debug("the node's labels are not known", "err", err)
		return stays
	}
	if selector.AsSelector().Matches(labels.Set(node.Labels)) {
		return stays
	}
	return missing
}

func (t *Tenure) read(ctx context.Context, path string, into any) error {
	client, err := t.clients.of(corev1.SchemeGroupVersion)
	if err != nil {
		return err
	}
	result := client.Get().AbsPath(path).SetHeader("Accept", "application/json").Do(ctx)
	if err := result.Error(); err != nil {
		return err
	}
	text, err := result.Raw()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("decode %s: %w", path, err)
	}
	return nil
}

// isGone tells whether the API server says that an object is not there. Others, such
// as a proxy before it, say 404 as well, but not in its words.
func isGone(err error) bool {
	return apierrors.IsNotFound(err) && !apierrors.IsUnexpectedServerError(err)
}

// going tells whether an object is being deleted together with what it has made.
func going(m *metav1.ObjectMeta) bool {
	return m.DeletionTimestamp != nil && !slices.Contains(m.Finalizers, metav1.FinalizerOrphanDependents)
}
