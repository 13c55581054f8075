package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// withdrawPause is how often is looked whether the pods have ended.
const withdrawPause = 250 * time.Millisecond

// Withdraw deletes the DaemonSet of agents, in the foreground: it stays, marked as going,
// until all its pods have ended, so that each of them learns why it is stopped. When they
// have not ended before ctx is done, it returns the nodes that they are on.
func Withdraw(ctx context.Context, config *rest.Config, namespace, name string) (left []string, err error) {
	c, err := newClients(config)
	if err != nil {
		return nil, err
	}
	defer c.close()
	sets := c.metadata.Resource(daemonSets).Namespace(namespace)
	foreground := metav1.DeletePropagationForeground
	going := false
	for {
		if going {
			_, err = sets.Get(ctx, name, metav1.GetOptions{})
		} else {
			err = sets.Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &foreground})
			going = err == nil
		}
		if isGone(err) {
			return nil, nil
		}
		pauseFor(ctx, withdrawPause)
		switch {
		case ctx.Err() == nil:
		case going:
			return agentNodes(context.WithoutCancel(ctx), config, namespace)
		default:
			return nil, fmt.Errorf("delete DaemonSet %s/%s: %w", namespace, name, errors.Join(ctx.Err(), err))
		}
	}
}

// agentNodes are the nodes that have a pod of an agent.
func agentNodes(ctx context.Context, config *rest.Config, namespace string) ([]string, error) {
	pods, err := agentPods(ctx, config, namespace)
	var nodes []string
	for i := range pods {
		nodes = append(nodes, pods[i].Spec.NodeName)
	}
	slices.Sort(nodes)
	return slices.Compact(nodes), err
}

// agentPods are the pods of agents.
func agentPods(ctx context.Context, config *rest.Config, namespace string) ([]corev1.Pod, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	client, err := rawClient(config)
	if err != nil {
		return nil, err
	}
	var pods corev1.PodList
	err = readRaw(ctx, client, "/api/v1/namespaces/"+namespace+"/pods", labelName+","+labelComponent+"=agent", &pods)
	return pods.Items, err
}
