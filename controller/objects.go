package controller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source/kube"
)

// manager is the field manager of what we apply.
const manager = "sluice-controller"

// The metadata of what we make.
const (
	// managedBy is the label of what is ours.
	managedBy = "app.kubernetes.io/managed-by"
	// applied is the annotation that tells what was last applied.
	applied = "sluice.io/applied"
)

// object is an object that should be there.
type object struct {
	resource schema.GroupVersionResource
	// body is what we apply, nil when only the status is ours.
	body map[string]any
	// digest is the same for the same body.
	digest string
	// status is what the status should be, as JSON; nil when it is none of ours.
	status json.RawMessage
	// of is told of trouble with the object, in its status; the zero value when
	// nobody is.
	of model.ObjectRef
}

// newObject makes an object that is applied whole.
func newObject(resource schema.GroupVersionResource, kind string, meta map[string]any, fields map[string]any) *object {
	body := map[string]any{"apiVersion": resource.GroupVersion().String(), "kind": kind, "metadata": meta}
	maps.Copy(body, fields)
	text, err := json.Marshal(body)
	if err != nil {
		text = nil // strings, numbers and maps of them: it cannot be
	}
	sum := sha256.Sum256(text)
	digest := hex.EncodeToString(sum[:8])
	annotations, _ := meta["annotations"].(map[string]any)
	annotations = maps.Clone(annotations)
	if annotations == nil {
		annotations = map[string]any{}
	}
	annotations[applied] = digest
	meta["annotations"] = annotations
	return &object{resource: resource, body: body, digest: digest}
}

// state is what the API server has of an object.
type state struct {
	digest string
	status string
	// content is what it is, nil when that is as we applied it or not known.
	content map[string]any
	// version is that of an object whose content is not known; see done.
	version string
}

// done is what the API server made of what we applied: objects whose content we
// are not told have changed when they have another version.
type done struct{ digest, version string }

// objects makes what should be there, and removes what should not. What it makes
// is applied by the server: fields that others set stay theirs.
type objects struct {
	client  dynamic.Interface
	metrics *metrics
	log     *slog.Logger
	queue   *queue[model.ObjectRef]
	// trouble is told why an object cannot be made for another; empty when it can.
	trouble func(of model.ObjectRef, why string)

	mu   sync.Mutex
	want map[model.ObjectRef]*object
	gone map[model.ObjectRef]bool // to be removed
	have map[model.ObjectRef]state
	due  map[model.ObjectRef]bool // to look at as soon as a batch is worked in
	// paces are those of statuses.
	paces map[model.ObjectRef]*pacer
	done  map[model.ObjectRef]done
	// repairs are those of what others changed.
	repairs map[model.ObjectRef]*contest
}

func newObjects(c *Controller, trouble func(of model.ObjectRef, why string)) *objects {
	o := &objects{
		client: c.client, trouble: trouble, metrics: c.metrics, log: c.log.With("part", "objects"), queue: newQueue(urgent),
		want: map[model.ObjectRef]*object{}, gone: map[model.ObjectRef]bool{}, have: map[model.ObjectRef]state{}, due: map[model.ObjectRef]bool{},
		paces: map[model.ObjectRef]*pacer{}, done: map[model.ObjectRef]done{}, repairs: map[model.ObjectRef]*contest{},
	}
	o.queue.look, o.queue.failed = o.look, o.failed
	return o
}

func (o *objects) run(ctx context.Context) error { return o.queue.run(ctx) }

// see is told what the API server has of an object that is ours; nil when it has
// none.
func (o *objects) see(ref model.ObjectRef, s *state) {
	o.mu.Lock()
	defer o.mu.Unlock()
	was, had := o.have[ref]
	if s == nil {
		o.drop(ref)
	} else {
		o.have[ref] = *s
	}
	if had != (s != nil) || s != nil && !equal(was, *s) {
		o.due[ref] = true
	}
}

// drop notes that the API server does not have an object.
func (o *objects) drop(ref model.ObjectRef) {
	delete(o.have, ref)
	delete(o.paces, ref)
	delete(o.done, ref)
	delete(o.gone, ref)
	if o.want[ref] == nil {
		delete(o.repairs, ref)
	}
}

// set has an object made.
func (o *objects) set(ref model.ObjectRef, want *object) {
	o.mu.Lock()
	defer o.mu.Unlock()
	was := o.want[ref]
	o.want[ref] = want
	delete(o.gone, ref)
	if was == nil || was.digest != want.digest || string(was.status) != string(want.status) {
		o.due[ref] = true
	}
}

// remove has an object removed, if it is there or on its way. What nobody wants
// is not removed by itself: it may only not be known yet whose it is.
func (o *objects) remove(ref model.ObjectRef) {
	wanted := o.leave(ref)
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, there := o.have[ref]; there || wanted {
		o.gone[ref], o.due[ref] = true, true
	}
}

// leave has an object left as it is. It tells whether it was wanted.
func (o *objects) leave(ref model.ObjectRef) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	was := o.want[ref]
	delete(o.want, ref)
	if was != nil && was.of != (model.ObjectRef{}) {
		o.trouble(was.of, "")
	}
	return was != nil
}

// begin has the workers look at what see and set were told: not before both
// agree, since what somebody changed may change what is wanted.
func (o *objects) begin() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for ref := range o.due {
		o.queue.add(ref)
	}
	clear(o.due)
}

// wants tells what an object should be.
func (o *objects) wants(ref model.ObjectRef) *object {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.want[ref]
}

// look brings one object in line.
func (o *objects) look(ctx context.Context, ref model.ObjectRef) (time.Duration, error) {
	o.mu.Lock()
	want, gone := o.want[ref], o.gone[ref]
	have, there := o.have[ref]
	if !there {
		delete(o.gone, ref)
	}
	o.mu.Unlock()
	switch {
	case gone && there:
		return 0, o.take(ctx, ref)
	case want == nil:
		return 0, nil
	}
	wait, err := o.bring(ctx, ref, want, have, there)
	if err == nil && want.of != (model.ObjectRef{}) {
		o.trouble(want.of, "")
	}
	return wait, err
}

// bring makes an object, and its status, what they should be. It tells how long a
// status that changes all the time has to wait.
func (o *objects) bring(ctx context.Context, ref model.ObjectRef, want *object, have state, there bool) (time.Duration, error) {
	wait, drift := o.judge(ref, want, have)
	switch {
	case wait > 0:
		return wait, nil
	case drift:
		if err := o.apply(ctx, ref, want); err != nil {
			return 0, err
		}
		there = true
	}
	if want.status == nil || !there || have.status == string(want.status) {
		return 0, nil
	}
	if wait := o.pace(ref); wait > 0 {
		return wait, nil
	}
	err := o.writeStatus(ctx, ref, want)
	if apierrors.IsNotFound(err) {
		o.forget(ref) // what was there has gone: it is made anew
	}
	return 0, err
}

// judge tells whether an object has to be applied. What others change again and
// again is put right less and less often.
func (o *objects) judge(ref model.ObjectRef, want *object, have state) (wait time.Duration, drift bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case want.body == nil:
		return 0, false
	case o.done[ref].digest != want.digest && have.digest != want.digest: // not applied yet
		delete(o.repairs, ref)
		return 0, true
	case have.digest != want.digest:
		drift = true
	case have.version != "":
		drift = o.done[ref] != done{want.digest, have.version}
		if o.done[ref].digest == "" {
			return 0, drift // an earlier leader's: whether it changed since cannot be told
		}
	case have.content != nil:
		drift = drifted(ref, have.content, want.body)
	}
	if !drift {
		return 0, false
	}
	c := o.repairs[ref]
	if c == nil {
		c = &contest{}
		o.repairs[ref] = c
	}
	now := time.Now()
	wait, news := c.wait(now)
	if news {
		o.log.Warn("somebody else changes an object of ours; putting it right less and less often", "object", ref.String())
	}
	if wait > 0 {
		o.metrics.writes.WithLabelValues(ref.Kind, "fought").Inc()
		return wait, false
	}
	c.wrote(now)
	return 0, true
}

// pace tells how long a status has to wait, and notes the write when it need not.
func (o *objects) pace(ref model.ObjectRef) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.paces[ref]
	if p == nil {
		p = &pacer{}
		o.paces[ref] = p
	}
	now := time.Now()
	wait := p.wait(now)
	if wait == 0 {
		p.wrote(now)
	}
	return wait
}

// forget notes that the API server does not have an object.
func (o *objects) forget(ref model.ObjectRef) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drop(ref)
}

func (o *objects) apply(ctx context.Context, ref model.ObjectRef, want *object) error {
	body, err := json.Marshal(want.body)
	if err != nil {
		return fmt.Errorf("encode %s: %w", ref, err)
	}
	force := true
	put := func() (*unstructured.Unstructured, error) {
		return o.client.Resource(want.resource).Namespace(ref.Namespace).
			Patch(ctx, ref.Name, types.ApplyPatchType, body, metav1.PatchOptions{FieldManager: manager, Force: &force})
	}
	now, err := put()
	if apierrors.IsInvalid(err) && ref.Kind == kube.KindSecretCopy {
		if err = o.take(ctx, ref); err == nil { // one of another type, which can't change
			now, err = put()
		}
	}
	if err != nil {
		return fmt.Errorf("apply %s: %w", ref, err)
	}
	o.log.Info("applied", "object", ref.String())
	o.metrics.writes.WithLabelValues(ref.Kind, "ok").Inc()
	o.note(ref, func(s *state) {
		s.digest, s.content = want.digest, nil
		if s.version != "" {
			s.version = now.GetResourceVersion()
		}
		o.done[ref] = done{want.digest, now.GetResourceVersion()}
	})
	return nil
}

func (o *objects) writeStatus(ctx context.Context, ref model.ObjectRef, want *object) error {
	body, err := json.Marshal(map[string]any{"status": want.status})
	if err != nil {
		return fmt.Errorf("encode the status of %s: %w", ref, err)
	}
	how := types.MergePatchType
	if ref.Kind == kindService {
		how = types.StrategicMergePatchType // others' conditions stay
	}
	_, err = o.client.Resource(want.resource).Namespace(ref.Namespace).
		Patch(ctx, ref.Name, how, body, metav1.PatchOptions{FieldManager: manager}, "status")
	if err != nil {
		return fmt.Errorf("write the status of %s: %w", ref, err)
	}
	o.metrics.writes.WithLabelValues(ref.Kind, "ok").Inc()
	o.note(ref, func(s *state) { s.status = string(want.status) })
	return nil
}

// take removes an object.
func (o *objects) take(ctx context.Context, ref model.ObjectRef) error {
	resource, ok := resources[ref.Kind]
	if !ok {
		return fmt.Errorf("%s has no resource", ref.Kind)
	}
	err := o.client.Resource(resource).Namespace(ref.Namespace).Delete(ctx, ref.Name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove %s: %w", ref, err)
	}
	o.log.Info("removed", "object", ref.String())
	o.forget(ref)
	return nil
}

// note changes what we know the API server has.
func (o *objects) note(ref model.ObjectRef, change func(*state)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.have[ref]
	change(&s)
	o.have[ref] = s
}

func (o *objects) failed(ref model.ObjectRef, err error) {
	if apierrors.IsConflict(err) {
		o.metrics.writes.WithLabelValues(ref.Kind, "conflict").Inc()
		return
	}
	if want := o.wants(ref); want != nil && want.of != (model.ObjectRef{}) {
		o.trouble(want.of, err.Error())
	}
	o.metrics.writes.WithLabelValues(ref.Kind, "error").Inc()
	o.log.Warn("cannot bring an object in line; trying again", "object", ref.String(), "err", err)
}
