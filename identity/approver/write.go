package approver

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"

	"sluice.io/sluice/identity/certmanager"
)

// By is the reason of the conditions that are set here: it tells who has decided.
const By = "sluice.io"

// ask looks up the facts, newer than the request: the API server's latest, not
// what a watch has brought so far.
func (a *Approver) ask(ctx context.Context, q Question) (Facts, error) {
	var f Facts
	agent, err := a.pods.Pods(a.opts.Policy.Agent.Namespace).Get(ctx, q.AgentPod, metav1.GetOptions{})
	switch {
	case err == nil:
		p := PodOf(agent)
		f.Agent = &p
	case !apierrors.IsNotFound(err):
		return Facts{}, fmt.Errorf("look for the agent's pod: %w", err)
	}
	list, err := a.pods.Pods(q.Identity.Namespace()).List(ctx, metav1.ListOptions{FieldSelector: fields.Set{
		"spec.nodeName": q.Node, "spec.serviceAccountName": q.Identity.ServiceAccount(),
	}.String()})
	if err != nil {
		return Facts{}, fmt.Errorf("look for pods of %s on %s: %w", q.Identity, q.Node, err)
	}
	for i := range list.Items {
		f.Pods = append(f.Pods, PodOf(&list.Items[i]))
	}
	return f, nil
}

// answer writes a decision, on top of exactly what was decided on: a request that
// has changed meanwhile, or is another one of the same name, is looked at anew.
func (a *Approver) answer(ctx context.Context, r Request, d Decision, now time.Time) (written bool, err error) {
	at := metav1.NewTime(now)
	c := certmanager.Condition{Type: certmanager.Approved, Status: string(metav1.ConditionTrue), Reason: By, Message: d.Message, LastTransitionTime: &at}
	if d.Verdict == Deny {
		c.Type, c.Message = certmanager.Denied, d.Reason+": "+d.Message
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": r.UID, "resourceVersion": r.ResourceVersion},
		"status":   map[string]any{"conditions": append(slices.Clone(r.Status.Conditions), c)},
	})
	if err != nil {
		return false, err
	}
	_, err = a.requests.Patch(ctx, r.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "sluice-approver"}, "status")
	switch {
	case apierrors.IsNotFound(err), apierrors.IsConflict(err):
		return false, nil // there is news of it, which brings us back
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err):
		return false, fmt.Errorf("write the decision: the controller needs the verb approve on signers.cert-manager.io of %s: %w", a.opts.Policy.Issuer, err)
	case err != nil:
		return false, fmt.Errorf("write the decision: %w", err)
	}
	return true, nil
}

// sweep removes a request that is over, and was for a while; or that nobody waits
// for any more.
func (a *Approver) sweep(ctx context.Context, r Request) (after time.Duration, err error) {
	since, over := r.Status.Over()
	end := since.Add(a.opts.Keep)
	if !over || since.IsZero() {
		end = r.CreationTimestamp.Add(forsaken)
	}
	if left := time.Until(end); left > 0 {
		return left, nil
	}
	err = a.requests.Delete(ctx, r.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &r.UID}})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		err = nil
	}
	if err != nil {
		return 0, fmt.Errorf("remove a request that is over: %w", err)
	}
	return 0, nil
}

// suspect tells of a request that somebody else has approved: then it is not us
// who keep agents from identities that are not theirs.
func (a *Approver) suspect(r Request) {
	c := r.Status.Condition(certmanager.Approved)
	if c.Status != string(metav1.ConditionTrue) || c.Reason == By {
		return
	}
	a.mu.Lock()
	known := a.alien[string(r.UID)]
	a.alien[string(r.UID)] = true
	a.mu.Unlock()
	if known {
		return
	}
	a.metrics.alien.Inc()
	a.log.Error("somebody else approves certificates of Sluice's issuer, so that an agent may get any identity: take the verb approve on its signer from all but Sluice's controller; cert-manager's own approver is told by its chart's value approveSignerNames",
		"issuer", a.opts.Policy.Issuer.String(), "request", r.Name, "by", clip(c.Reason), "message", clip(c.Message))
}

func (a *Approver) forget(uid string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.alien, uid)
}
