// Package object makes what should be there in the API server, and removes what
// should not.
//
// It owns the objects that the controller makes: how they are applied, and that
// what others change of them is put right. It must not know what they are for.
package object

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"sluice.io/sluice/controller/queue"
	"sluice.io/sluice/model"
)

// Manager is the field manager of what we apply.
const Manager = "sluice-controller"

// The metadata of what we make.
const (
	// ManagedBy is the label of what is ours.
	ManagedBy = "app.kubernetes.io/managed-by"
	// Applied is the annotation that tells what was last applied.
	Applied = "sluice.io/applied"
)

// Object is an object that should be there.
type Object struct {
	// Resource is that of its kind.
	Resource schema.GroupVersionResource
	// Body is what we apply, nil when only the status is ours.
	Body map[string]any
	// Digest is the same for the same body.
	Digest string
	// Renew has it removed and made anew when it cannot be changed.
	Renew bool
	// Status is what the status should be, as JSON; nil when it is none of ours.
	Status json.RawMessage
	// Of are told of trouble with the object, in their statuses.
	Of []model.ObjectRef
}

// New makes an object that is applied whole.
func New(resource schema.GroupVersionResource, kind string, meta map[string]any, fields map[string]any) *Object {
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
	annotations[Applied] = digest
	meta["annotations"] = annotations
	return &Object{Resource: resource, Body: body, Digest: digest}
}

// State is what the API server has of an object.
type State struct {
	// Digest is what its annotation says of what was applied, and Status is as in
	// [Object].
	Digest, Status string
	// Content is what it is, nil when that is as we applied it or not known.
	Content map[string]any
	// Version is that of an object whose content is not known; see done.
	Version string
	// UID is which one of its name it is: no other one is removed.
	UID types.UID
}

// done is what the API server made of what we applied: objects whose content we
// are not told have changed when they have another version.
type done struct{ digest, version string }

// Objects makes what should be there, and removes what should not. What it makes
// is applied by the server: fields that others set stay theirs.
type Objects struct {
	Config
	queue *queue.Queue[model.ObjectRef]

	mu   sync.Mutex
	want map[model.ObjectRef]*Object
	gone map[model.ObjectRef]bool // to be removed
	have map[model.ObjectRef]State
	due  map[model.ObjectRef]bool // to look at as soon as a batch is worked in
	// paces are those of statuses.
	paces map[model.ObjectRef]*queue.Pacer
	done  map[model.ObjectRef]done
	// repairs are those of what others changed.
	repairs map[model.ObjectRef]*queue.Contest
}

// Config is what Objects need.
type Config struct {
	Client dynamic.Interface
	// Resources are those of the kinds that are removed.
	Resources map[string]schema.GroupVersionResource
	// Urgent tells which objects go first.
	Urgent func(model.ObjectRef) bool
	// Trouble is told why an object cannot be made for another; empty when it can.
	Trouble func(of, object model.ObjectRef, why string)
	// Writes counts by kind and result.
	Writes *prometheus.CounterVec
	Log    *slog.Logger
}

// NewObjects returns a maker of objects that knows none. It asks nothing yet.
func NewObjects(c Config) *Objects {
	o := &Objects{
		Config: c, queue: queue.New(c.Urgent),
		want: map[model.ObjectRef]*Object{}, gone: map[model.ObjectRef]bool{}, have: map[model.ObjectRef]State{}, due: map[model.ObjectRef]bool{},
		paces: map[model.ObjectRef]*queue.Pacer{}, done: map[model.ObjectRef]done{}, repairs: map[model.ObjectRef]*queue.Contest{},
	}
	o.queue.Look, o.queue.Failed = o.look, o.failed
	return o
}

// Run works until ctx is done.
func (o *Objects) Run(ctx context.Context) error { return o.queue.Run(ctx) }

// See is told what the API server has of an object that is ours; nil when it has
// none.
func (o *Objects) See(ref model.ObjectRef, s *State) {
	o.mu.Lock()
	defer o.mu.Unlock()
	was, had := o.have[ref]
	if s == nil {
		o.drop(ref)
	} else {
		o.have[ref] = *s
	}
	if had != (s != nil) || s != nil && !reflect.DeepEqual(was, *s) {
		o.due[ref] = true
	}
}

// drop notes that the API server does not have an object.
func (o *Objects) drop(ref model.ObjectRef) {
	delete(o.have, ref)
	delete(o.paces, ref)
	delete(o.done, ref)
	delete(o.gone, ref)
	if o.want[ref] == nil {
		delete(o.repairs, ref)
	}
}

// Set has an object made.
func (o *Objects) Set(ref model.ObjectRef, want *Object) {
	o.mu.Lock()
	defer o.mu.Unlock()
	was := o.want[ref]
	o.want[ref] = want
	delete(o.gone, ref)
	if was != nil {
		o.tell(ref, slices.DeleteFunc(slices.Clone(was.Of), func(of model.ObjectRef) bool { return slices.Contains(want.Of, of) }), "")
	}
	if was == nil || was.Digest != want.Digest || string(was.Status) != string(want.Status) {
		o.due[ref] = true
	}
}

// Remove has an object removed, if it is there or on its way. What nobody wants
// is not removed by itself: it may only not be known yet whose it is.
func (o *Objects) Remove(ref model.ObjectRef) {
	wanted := o.Leave(ref)
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, there := o.have[ref]; there || wanted {
		o.gone[ref], o.due[ref] = true, true
	}
}

// Leave has an object left as it is. It tells whether it was wanted.
func (o *Objects) Leave(ref model.ObjectRef) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	was := o.want[ref]
	delete(o.want, ref)
	if was != nil {
		o.tell(ref, was.Of, "")
	}
	return was != nil
}

// tell tells others why an object cannot be made for them; empty when it can.
func (o *Objects) tell(ref model.ObjectRef, all []model.ObjectRef, why string) {
	for _, of := range all {
		o.Trouble(of, ref, why)
	}
}

// Begin has the workers look at what see and set were told: not before both
// agree, since what somebody changed may change what is wanted.
func (o *Objects) Begin() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for ref := range o.due {
		o.queue.Add(ref)
	}
	clear(o.due)
}

// Wants tells what an object should be.
func (o *Objects) Wants(ref model.ObjectRef) *Object {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.want[ref]
}

// look brings one object in line.
func (o *Objects) look(ctx context.Context, ref model.ObjectRef) (time.Duration, error) {
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
	if err == nil {
		o.tell(ref, want.Of, "")
	}
	return wait, err
}

// bring makes an object, and its status, what they should be. It tells how long a
// status that changes all the time has to wait.
func (o *Objects) bring(ctx context.Context, ref model.ObjectRef, want *Object, have State, there bool) (time.Duration, error) {
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
	if want.Status == nil || !there || have.Status == string(want.Status) {
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
func (o *Objects) judge(ref model.ObjectRef, want *Object, have State) (wait time.Duration, drift bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case want.Body == nil:
		return 0, false
	case o.done[ref].digest != want.Digest && have.Digest != want.Digest: // not Applied yet
		delete(o.repairs, ref)
		return 0, true
	case have.Digest != want.Digest:
		drift = true
	case have.Version != "":
		drift = o.done[ref] != done{want.Digest, have.Version}
		if o.done[ref].digest == "" {
			return 0, drift // an earlier leader's: whether it changed since cannot be told
		}
	case have.Content != nil:
		drift = drifted(ref, have.Content, want.Body)
	}
	if !drift {
		return 0, false
	}
	c := o.repairs[ref]
	if c == nil {
		c = &queue.Contest{}
		o.repairs[ref] = c
	}
	now := time.Now()
	wait, news := c.Wait(now)
	if news {
		o.Log.Warn("somebody else changes an object of ours; putting it right less and less often", "object", ref.String())
	}
	if wait > 0 {
		o.Writes.WithLabelValues(ref.Kind, "fought").Inc()
		return wait, false
	}
	c.Wrote(now)
	return 0, true
}

// pace tells how long a status has to wait, and notes the write when it need not.
func (o *Objects) pace(ref model.ObjectRef) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.paces[ref]
	if p == nil {
		p = &queue.Pacer{}
		o.paces[ref] = p
	}
	now := time.Now()
	wait := p.Wait(now)
	if wait == 0 {
		p.Wrote(now)
	}
	return wait
}

// forget notes that the API server does not have an object.
func (o *Objects) forget(ref model.ObjectRef) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drop(ref)
}

func (o *Objects) apply(ctx context.Context, ref model.ObjectRef, want *Object) error {
	body, err := json.Marshal(want.Body)
	if err != nil {
		return fmt.Errorf("encode %s: %w", ref, err)
	}
	force := true
	put := func() (*unstructured.Unstructured, error) {
		return o.Client.Resource(want.Resource).Namespace(ref.Namespace).
			Patch(ctx, ref.Name, types.ApplyPatchType, body, metav1.PatchOptions{FieldManager: Manager, Force: &force})
	}
	now, err := put()
	if apierrors.IsInvalid(err) && want.Renew {
		if err = o.take(ctx, ref); err == nil {
			now, err = put()
		}
	}
	if err != nil {
		return fmt.Errorf("apply %s: %w", ref, err)
	}
	o.Log.Info("applied", "object", ref.String())
	o.Writes.WithLabelValues(ref.Kind, "ok").Inc()
	o.note(ref, func(s *State) {
		s.Digest, s.Content, s.UID = want.Digest, nil, now.GetUID()
		if s.Version != "" {
			s.Version = now.GetResourceVersion()
		}
		o.done[ref] = done{want.Digest, now.GetResourceVersion()}
	})
	return nil
}

func (o *Objects) writeStatus(ctx context.Context, ref model.ObjectRef, want *Object) error {
	body, err := json.Marshal(map[string]any{"status": want.Status})
	if err != nil {
		return fmt.Errorf("encode the status of %s: %w", ref, err)
	}
	how := types.MergePatchType
	if ref.Kind == "Service" {
		how = types.StrategicMergePatchType // others' conditions stay
	}
	_, err = o.Client.Resource(want.Resource).Namespace(ref.Namespace).
		Patch(ctx, ref.Name, how, body, metav1.PatchOptions{FieldManager: Manager}, "status")
	if err != nil {
		return fmt.Errorf("write the status of %s: %w", ref, err)
	}
	o.Writes.WithLabelValues(ref.Kind, "ok").Inc()
	o.note(ref, func(s *State) { s.Status = string(want.Status) })
	return nil
}

// take removes an object, if it is still the one that we were told of.
func (o *Objects) take(ctx context.Context, ref model.ObjectRef) error {
	resource, ok := o.Resources[ref.Kind]
	if !ok {
		return fmt.Errorf("%s has no resource", ref.Kind)
	}
	o.mu.Lock()
	uid := o.have[ref].UID
	o.mu.Unlock()
	var only metav1.DeleteOptions
	if uid != "" {
		only.Preconditions = metav1.NewUIDPreconditions(string(uid))
	}
	err := o.Client.Resource(resource).Namespace(ref.Namespace).Delete(ctx, ref.Name, only)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove %s: %w", ref, err)
	}
	o.Log.Info("removed", "object", ref.String())
	o.forget(ref)
	return nil
}

// note changes what we know the API server has.
func (o *Objects) note(ref model.ObjectRef, change func(*State)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.have[ref]
	change(&s)
	o.have[ref] = s
}

func (o *Objects) failed(ref model.ObjectRef, err error) {
	if apierrors.IsConflict(err) {
		o.Writes.WithLabelValues(ref.Kind, "conflict").Inc()
		return
	}
	if want := o.Wants(ref); want != nil {
		o.tell(ref, want.Of, err.Error())
	}
	o.Writes.WithLabelValues(ref.Kind, "error").Inc()
	o.Log.Warn("cannot bring an object in line; trying again", "object", ref.String(), "err", err)
}
