package approver

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"sluice.io/sluice/identity"
)

// Facts are what a decision rests on besides the request, as the API server told
// them after the request was made.
type Facts struct {
	// Agent is the pod that the requester's token is bound to; nil when it is gone.
	Agent *Pod
	// Pods are those that may have the identity.
	Pods []Pod
}

// Pod is what is looked at of a pod.
type Pod struct {
	Namespace, Name, UID string
	ServiceAccount       string
	Node                 string
	// Finished tells that none of its containers runs or will run.
	Finished bool
	// End is when a pod that is being removed has to be gone; zero for others.
	End time.Time
	// HostNetwork tells that it has no network namespace of its own.
	HostNetwork bool
}

// PodOf is what is looked at of a pod.
func PodOf(p *corev1.Pod) Pod {
	pod := Pod{
		Namespace: p.Namespace, Name: p.Name, UID: string(p.UID), ServiceAccount: p.Spec.ServiceAccountName, Node: p.Spec.NodeName,
		Finished:    p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed,
		HostNetwork: p.Spec.HostNetwork,
	}
	if p.DeletionTimestamp != nil {
		pod.End = p.DeletionTimestamp.Time
	}
	return pod
}

// late is how long after its end a pod that is being removed may still be there:
// the clocks of kubelets and of the API server are not the same.
const late = time.Minute

// hasNot tells why a pod does not make a request for an identity rightful on a
// node; empty when it does. The API server was asked for such pods only; it is
// looked at again here, where everything is decided.
//
// A pod that is being removed serves until its grace is over, and may need a
// certificate for that. One that is there for longer is on a node that doesn't
// answer, and proves nothing.
func (p Pod) hasNot(id identity.ID, node string, now time.Time) string {
	switch {
	case p.Namespace != id.Namespace() || p.ServiceAccount != id.ServiceAccount():
		return "has another service account"
	case p.Node != node:
		return "is on another node"
	case p.Finished:
		return "has finished"
	case !p.End.IsZero() && now.After(p.End.Add(late)):
		return "should be gone since " + p.End.UTC().Format(time.RFC3339)
	case p.HostNetwork:
		return "is on the host's network, where nothing is meshed"
	}
	return ""
}

// agentGone tells why the requester is no agent of the node any more; empty when
// it is.
func (f Facts) agentGone(q Question, account Account) string {
	a := f.Agent
	switch {
	case a == nil || a.UID != q.AgentUID || a.Name != q.AgentPod || a.Namespace != account.Namespace:
		return fmt.Sprintf("agent pod %q (uid %q), which the token was bound to, is gone", clip(q.AgentPod), clip(q.AgentUID))
	case a.ServiceAccount != account.Name:
		return fmt.Sprintf("pod %q is no agent: it has service account %q", clip(q.AgentPod), clip(a.ServiceAccount))
	case a.Node != q.Node:
		return fmt.Sprintf("agent pod %q is not on node %q", clip(q.AgentPod), clip(q.Node))
	case a.Finished:
		return fmt.Sprintf("agent pod %q has finished", clip(q.AgentPod))
	}
	return ""
}
