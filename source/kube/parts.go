package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
)

// Labels of what the chart installs.
const (
	labelName      = "app.kubernetes.io/name=sluice"
	labelComponent = "app.kubernetes.io/component"
)

// Parts are how Sluice's own parts are.
type Parts struct {
	// Sets are what runs on the nodes: the agents and the Envoys.
	Sets []Part `json:"sets"`
	// Leader is the controller that holds the Lease, empty when none does.
	Leader string `json:"leader"`
	// Stale tells that the Lease has not been renewed in time.
	Stale bool `json:"stale,omitempty"`
}

// Part is what one DaemonSet has running.
type Part struct {
	Name  string `json:"name"`
	Want  int    `json:"want"`
	Ready int    `json:"ready"`
}

// ReadParts asks how Sluice's own parts are.
func ReadParts(ctx context.Context, config *rest.Config, namespace string) (*Parts, error) {
	client, err := rawClient(config)
	if err != nil {
		return nil, err
	}
	var sets struct {
		Items []struct {
			Metadata struct{ Name string }
			Status   struct{ DesiredNumberScheduled, NumberReady int }
		}
	}
	if err := readRaw(ctx, client, "/apis/apps/v1/namespaces/"+namespace+"/daemonsets", labelName, &sets); err != nil {
		return nil, err
	}
	p := &Parts{}
	for _, s := range sets.Items {
		p.Sets = append(p.Sets, Part{Name: s.Metadata.Name, Want: s.Status.DesiredNumberScheduled, Ready: s.Status.NumberReady})
	}
	var lease struct {
		Spec struct {
			HolderIdentity       string
			LeaseDurationSeconds int
			RenewTime            time.Time
		}
	}
	if err := readRaw(ctx, client, "/apis/coordination.k8s.io/v1/namespaces/"+namespace+"/leases/sluice-controller", "", &lease); err != nil {
		return p, err
	}
	p.Leader = lease.Spec.HolderIdentity
	p.Stale = time.Since(lease.Spec.RenewTime) > time.Duration(lease.Spec.LeaseDurationSeconds)*time.Second
	return p, nil
}

// ErrNoAgent says that no agent runs on a node.
var ErrNoAgent = errors.New("no agent runs there")

// agentPod finds the pod of a node's agent.
func agentPod(ctx context.Context, config *rest.Config, namespace, node string) (string, error) {
	pods, err := agentPods(ctx, config, namespace)
	if err != nil {
		return "", err
	}
	for i := range pods {
		if p := &pods[i]; p.Spec.NodeName == node && p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil {
			return p.Name, nil
		}
	}
	return "", fmt.Errorf("node %s: %w: no running pod of namespace %s is labelled %s=agent", node, ErrNoAgent, namespace, labelComponent)
}

func rawClient(config *rest.Config) (rest.Interface, error) {
	c, err := newClients(config)
	if err != nil {
		return nil, err
	}
	return c.of(corev1.SchemeGroupVersion)
}

// readRaw reads a list or an object as JSON.
func readRaw(ctx context.Context, client rest.Interface, path, labels string, into any) error {
	r := client.Get().AbsPath(path).SetHeader("Accept", "application/json")
	if labels != "" {
		r = r.Param("labelSelector", labels)
	}
	text, err := r.DoRaw(ctx)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("decode %s: %w", path, err)
	}
	return nil
}
