// Package report tells the cluster what this node's Envoy rejects of Gateways.
//
// It owns the node's NodeReport, and that it is written rarely. It must not know
// why something is rejected, nor what is made of the report.
package report

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
)

// The times of reports. A change of configuration that Envoys reject is rejected on
// every node at once: the spread keeps them from all writing at once. What is
// rejected for a moment, while its cause passes, is not told.
const (
	look      = time.Second
	settle    = 2 * time.Second
	spread    = 5 * time.Second
	lastPause = time.Minute
	timeout   = 10 * time.Second
)

// The limits of the CRD.
const (
	most        = 64
	longMessage = 1024
	cutOff      = " ..."
)

// Config says whose report it is, and where it comes from.
type Config struct {
	// Config reaches the API server.
	Config *rest.Config
	// Node is the name of this node.
	Node string
	// Rejected is what is rejected now, sorted; false when that is not known.
	Rejected func() ([]model.Rejected, bool)
	Log      *slog.Logger
}

// Reporter keeps a node's report.
type Reporter struct {
	Config
	client dynamic.Interface
	// told is what the API server has been told; nil before the first time.
	told *[]model.Rejected
	// seen is what was last looked at, and since when it is the same.
	seen  []model.Rejected
	since time.Time
	// wait is how long it must be the same.
	wait time.Duration
}

// New returns a reporter. It asks the API server nothing yet.
func New(c Config) (*Reporter, error) {
	client, err := dynamic.NewForConfig(c.Config)
	if err != nil {
		return nil, fmt.Errorf("reach the API server: %w", err)
	}
	return &Reporter{Config: c, client: client}, nil
}

// Run reports until ctx is done, and then returns nil. That a report cannot be written is
// told in the log.
func (r *Reporter) Run(ctx context.Context) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	var failures int
	var pause time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			all, due := r.due(now)
			if !due || now.Before(pause) {
				continue
			}
			err := r.write(ctx, all)
			switch {
			case ctx.Err() != nil:
				return nil
			case err != nil:
				if failures == 0 {
					r.Log.Warn("cannot report what Envoy rejects; trying again", "err", err)
				}
				pause = now.Add(min(look<<failures, lastPause))
				failures = min(failures+1, 10)
			default:
				r.told, failures = &all, 0
			}
		}
	}
}

// due tells whether something else is rejected than what was told, and has been for
// a while. The first time, it is when nothing is, as an earlier agent may have told
// otherwise.
func (r *Reporter) due(now time.Time) ([]model.Rejected, bool) {
	all, known := r.Rejected()
	if !known {
		return nil, false
	}
	if r.since.IsZero() || !slices.Equal(all, r.seen) {
		r.seen, r.since, r.wait = all, now, settle+rand.N(spread)
	}
	if r.told != nil && slices.Equal(all, *r.told) {
		return nil, false
	}
	return all, now.Sub(r.since) >= r.wait
}

// write makes the report say this, or removes it when there is nothing to say.
func (r *Reporter) write(ctx context.Context, all []model.Rejected) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	reports := r.client.Resource(v1alpha1.GroupVersion.WithResource("nodereports"))
	if len(all) == 0 {
		err := reports.Delete(ctx, r.Node, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("remove the report of node %s: %w", r.Node, err)
		}
		return nil
	}
	owner, err := r.owner(ctx)
	if err != nil {
		return err
	}
	body, err := json.Marshal(r.body(owner, all))
	if err != nil {
		return fmt.Errorf("encode the report of node %s: %w", r.Node, err)
	}
	force := true
	if _, err := reports.Patch(ctx, r.Node, types.ApplyPatchType, body, metav1.PatchOptions{FieldManager: "sluice-agent", Force: &force}); err != nil {
		return fmt.Errorf("write the report of node %s: %w", r.Node, err)
	}
	r.Log.Info("reported what Envoy rejects", "parts", len(all))
	return nil
}

// owner is the node, with which its report goes.
func (r *Reporter) owner(ctx context.Context) (metav1.OwnerReference, error) {
	node, err := r.client.Resource(corev1.SchemeGroupVersion.WithResource("nodes")).Get(ctx, r.Node, metav1.GetOptions{})
	if err != nil {
		return metav1.OwnerReference{}, fmt.Errorf("read node %s: %w", r.Node, err)
	}
	return metav1.OwnerReference{APIVersion: "v1", Kind: "Node", Name: r.Node, UID: node.GetUID()}, nil
}

func (r *Reporter) body(owner metav1.OwnerReference, all []model.Rejected) map[string]any {
	rejected := []v1alpha1.RejectedPart{}
	for _, a := range all[:min(len(all), most)] {
		part := v1alpha1.RejectedPart{
			Gateway: v1alpha1.GatewayReference{Namespace: a.Port.Gateway.Namespace, Name: a.Port.Gateway.Name},
			Port:    int32(a.Port.Port), Protocol: string(a.Port.Protocol), Host: a.Host, Message: shorten(a.Message),
		}
		if a.At.IsValid() {
			part.Address = v1alpha1.IPAddress(a.At.Addr().String())
		}
		rejected = append(rejected, part)
	}
	return map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "NodeReport",
		"metadata": map[string]any{"name": r.Node, "ownerReferences": []metav1.OwnerReference{owner}}, "rejected": rejected,
	}
}

// shorten cuts a message to what a report may have, between two characters.
func shorten(message string) string {
	if len(message) <= longMessage {
		return message
	}
	cut := longMessage - len(cutOff)
	for cut > 0 && !utf8.RuneStart(message[cut]) {
		cut--
	}
	return message[:cut] + cutOff
}
