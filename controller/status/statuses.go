// Package status writes the statuses of objects of the Gateway API.
//
// It owns how they are worded and written: only the part that is Sluice's, only
// when it changed, never fighting others. It must not know why an object has the
// status that is wished for.
package status

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/controller/queue"
	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// Config is what Statuses need.
type Config struct {
	Client dynamic.Interface
	// Resource is that of a kind, in the version in which it was seen.
	Resource func(kind string) (schema.GroupVersionResource, bool)
	// Urgent tells which statuses go first.
	Urgent func(model.ObjectRef) bool
	// Writes counts by kind and result.
	Writes *prometheus.CounterVec
	Log    *slog.Logger
	// Manager is the name by which the API server notes who writes.
	Manager string
}

// Statuses writes the statuses that are wished for.
//
// It writes a merge patch of the status with the resource version of what it has
// seen: parents and ancestors are lists that several controllers share and that
// the API server takes as a whole, so a write is right only on top of what was
// read, and fails otherwise. Server-side apply would take the whole list over.
type Statuses struct {
	Config
	queue *queue.Queue[model.ObjectRef]

	mu      sync.Mutex
	live    map[model.ObjectRef]source.KubeObject
	wishes  map[model.ObjectRef]Wish
	written map[model.ObjectRef]*history
	// troubles are what keeps objects from being made for others, by those and then
	// by the objects.
	troubles map[model.ObjectRef]map[model.ObjectRef]string
}

// history tells of the writes of one object's status.
type history struct {
	wish    Wish
	pacer   queue.Pacer
	contest queue.Contest // over that wish
	missed  bool          // the last write found no such object
}

// NewStatuses returns a writer of statuses that knows none. It asks nothing yet.
func NewStatuses(c Config) *Statuses {
	s := &Statuses{
		Config: c, queue: queue.New(c.Urgent),
		live: map[model.ObjectRef]source.KubeObject{}, wishes: map[model.ObjectRef]Wish{}, written: map[model.ObjectRef]*history{},
		troubles: map[model.ObjectRef]map[model.ObjectRef]string{},
	}
	s.queue.Look, s.queue.Failed = s.look, s.failed
	return s
}

// Run works until ctx is done.
func (s *Statuses) Run(ctx context.Context) error { return s.queue.Run(ctx) }

// See is told of what the API server has.
func (s *Statuses) See(ref model.ObjectRef, obj source.KubeObject) {
	s.mu.Lock()
	_, wished := s.wishes[ref]
	if obj == nil {
		delete(s.live, ref)
		delete(s.written, ref)
	} else {
		s.live[ref] = obj
	}
	s.mu.Unlock()
	if wished {
		s.queue.Add(ref)
	}
}

// Want has an object's status brought in line.
func (s *Statuses) Want(ref model.ObjectRef, change func(*Wish)) {
	s.mu.Lock()
	was := s.wishes[ref]
	w := was
	change(&w)
	switch {
	case w.Farewell == nil:
	case was.Status != nil:
		w.Farewell.said = &said{was.Status.Conditions, was.Generation}
	case was.Farewell != nil && !w.Farewell.Ours:
		w.Farewell = was.Farewell
	}
	s.wishes[ref] = w
	s.mu.Unlock()
	s.queue.Add(ref)
}

// parted notes that there is nothing more to say of an object.
func (s *Statuses) parted(ref model.ObjectRef, w Wish) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.wishes[ref]; now.Farewell == w.Farewell {
		delete(s.wishes, ref)
	}
}

// Forget notes that an object is gone.
func (s *Statuses) Forget(ref model.ObjectRef) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.wishes, ref)
	delete(s.troubles, ref)
}

// Served are the listeners of a Gateway or ListenerSet, by name, that the API server
// has as Programmed as they are now.
func (s *Statuses) Served(ref model.ObjectRef) map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]bool{}
	switch o := s.live[ref].(type) {
	case *gatewayv1.Gateway:
		for _, l := range o.Status.Listeners {
			all[string(l.Name)] = programmed(l.Conditions, o.Generation)
		}
	case *gatewayv1.ListenerSet:
		for _, l := range o.Status.Listeners {
			all[string(l.Name)] = programmed(l.Conditions, o.Generation)
		}
	}
	return all
}

func programmed(conditions []metav1.Condition, generation int64) bool {
	return slices.ContainsFunc(conditions, func(c metav1.Condition) bool {
		return c.Type == Programmed && c.Status == metav1.ConditionTrue && c.ObservedGeneration == generation
	})
}

// Trouble notes why an object cannot be made for another; empty when it can.
func (s *Statuses) Trouble(of, object model.ObjectRef, why string) {
	s.mu.Lock()
	_, wished := s.wishes[of]
	news := s.troubles[of][object] != why && (wished || why == "")
	switch {
	case !news:
	case why == "":
		delete(s.troubles[of], object)
		if len(s.troubles[of]) == 0 {
			delete(s.troubles, of)
		}
	default:
		if s.troubles[of] == nil {
			s.troubles[of] = map[model.ObjectRef]string{}
		}
		s.troubles[of][object] = why
	}
	s.mu.Unlock()
	if news {
		s.queue.Add(of)
	}
}

func (s *Statuses) read(ref model.ObjectRef) (source.KubeObject, Wish, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.wishes[ref]
	return s.live[ref], w.troubled(s.troubles[ref]), ok && s.live[ref] != nil
}

// look brings one object's status in line.
func (s *Statuses) look(ctx context.Context, ref model.ObjectRef) (time.Duration, error) {
	live, w, ok := s.read(ref)
	if !ok || live.GetGeneration() != w.Generation {
		return 0, nil // what it is about has gone, or is about to be resolved
	}
	patch := statusPatch(live, w, metav1.Now())
	if patch == nil {
		if w.Farewell != nil {
			s.parted(ref, w)
		}
		return 0, nil
	}
	if wait, fought := s.restrain(ref, w); wait > 0 {
		if fought {
			s.Writes.WithLabelValues(ref.Kind, "fought").Inc()
		}
		return wait, nil
	}
	now, err := s.write(ctx, ref, live, patch)
	switch {
	case apierrors.IsNotFound(err) && s.miss(ref):
		return missPause, nil
	case err != nil:
		return 0, err
	}
	s.Writes.WithLabelValues(ref.Kind, "ok").Inc()
	s.wrote(ref, live, now)
	return 0, nil
}

// wrote notes what the API server made of a write.
func (s *Statuses) wrote(ref model.ObjectRef, live, now source.KubeObject) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live[ref] == live {
		s.live[ref] = now
	}
	if h := s.written[ref]; h != nil {
		h.missed = false
	}
}

// missPause is how long it may take to be told that an object is gone.
const missPause = time.Second

// miss notes that an object was not found, and tells whether that is no error yet: it
// has just been deleted, most likely, which is about to be told. One that is there all
// the same, a moment later, is of a kind that cannot be written to.
func (s *Statuses) miss(ref model.ObjectRef) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.written[ref]
	if h == nil {
		return true // it has been told meanwhile
	}
	first := !h.missed
	h.missed = true
	if first {
		h.contest.Undo()
	}
	return first
}

func (s *Statuses) write(ctx context.Context, ref model.ObjectRef, live source.KubeObject, patch any) (source.KubeObject, error) {
	resource, ok := s.Resource(ref.Kind)
	if !ok {
		return nil, fmt.Errorf("%s has no resource", ref.Kind)
	}
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": live.GetResourceVersion()}, "status": patch,
	})
	if err != nil {
		return nil, fmt.Errorf("encode the status of %s: %w", ref, err)
	}
	got, err := s.Client.Resource(resource).Namespace(ref.Namespace).Patch(ctx, ref.Name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: s.Manager}, "status")
	if err != nil {
		return nil, fmt.Errorf("write the status of %s: %w", ref, err)
	}
	return typed(got, live)
}

// typed decodes an answer into the type of another object.
func typed(from *unstructured.Unstructured, like source.KubeObject) (source.KubeObject, error) {
	into := like.DeepCopyObject()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(from.Object, into); err != nil {
		return nil, fmt.Errorf("decode the answer: %w", err)
	}
	return into.(source.KubeObject), nil
}

// restrain slows down when a status has to be written over and over: because
// what it says changes all the time, or because somebody else writes over it. Two
// controllers that take each other for wrong must not keep the API server busy.
func (s *Statuses) restrain(ref model.ObjectRef, w Wish) (wait time.Duration, fought bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, h := time.Now(), s.written[ref]
	if h == nil || h.contest.Calm(now) {
		h = &history{wish: w}
		s.written[ref] = h
	}
	if reflect.DeepEqual(h.wish, w) {
		wait, news := h.contest.Wait(now)
		if news {
			s.Log.Warn("somebody else writes over our status; writing it less and less often", "object", ref.String())
		}
		if wait > 0 {
			return wait, true
		}
	}
	if wait := h.pacer.Wait(now); wait > 0 {
		return wait, false
	}
	if !reflect.DeepEqual(h.wish, w) {
		h.wish, h.contest = w, queue.Contest{}
	}
	h.contest.Wrote(now)
	h.pacer.Wrote(now)
	return 0, false
}

func (s *Statuses) failed(ref model.ObjectRef, err error) {
	s.calmed(ref)
	if apierrors.IsConflict(err) {
		s.Writes.WithLabelValues(ref.Kind, "conflict").Inc()
		return // what was written in between is about to be told
	}
	s.Writes.WithLabelValues(ref.Kind, "error").Inc()
	s.Log.Warn("cannot write a status; trying again", "object", ref.String(), "err", err)
}

// calmed takes back that a wish was written, as it was not.
func (s *Statuses) calmed(ref model.ObjectRef) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.written[ref]; h != nil {
		h.contest.Undo()
	}
}
