package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
	"sluice.io/sluice/source/kube"
)

// statuses writes the statuses that are wished for.
//
// It writes a merge patch of the status with the resource version of what it has
// seen: parents and ancestors are lists that several controllers share and that
// the API server takes as a whole, so a write is right only on top of what was
// read, and fails otherwise. Server-side apply would take the whole list over.
type statuses struct {
	client  dynamic.Interface
	metrics *metrics
	log     *slog.Logger
	queue   *queue[model.ObjectRef]

	mu      sync.Mutex
	live    map[model.ObjectRef]source.KubeObject
	wishes  map[model.ObjectRef]wish
	written map[model.ObjectRef]*history
	// troubles are what keeps objects from being made for others.
	troubles map[model.ObjectRef]string
}

// history tells of the writes of one object's status.
type history struct {
	wish    wish
	pacer   pacer
	contest contest // over that wish
}

func newStatuses(c *Controller) *statuses {
	s := &statuses{
		client: c.client, metrics: c.metrics, log: c.log.With("part", "status"), queue: newQueue(urgent),
		live: map[model.ObjectRef]source.KubeObject{}, wishes: map[model.ObjectRef]wish{}, written: map[model.ObjectRef]*history{},
		troubles: map[model.ObjectRef]string{},
	}
	s.queue.look, s.queue.failed = s.look, s.failed
	return s
}

func (s *statuses) run(ctx context.Context) error { return s.queue.run(ctx) }

// see is told of what the API server has.
func (s *statuses) see(ref model.ObjectRef, obj source.KubeObject) {
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
		s.queue.add(ref)
	}
}

// want has an object's status brought in line.
func (s *statuses) want(ref model.ObjectRef, change func(*wish)) {
	s.mu.Lock()
	was := s.wishes[ref]
	w := was
	change(&w)
	switch {
	case w.farewell == nil:
	case was.status != nil:
		w.farewell.said = &said{was.status.Conditions, was.generation}
	case was.farewell != nil && !w.farewell.ours:
		w.farewell = was.farewell
	}
	s.wishes[ref] = w
	s.mu.Unlock()
	s.queue.add(ref)
}

// parted notes that there is nothing more to say of an object.
func (s *statuses) parted(ref model.ObjectRef, w wish) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.wishes[ref]; now.farewell == w.farewell {
		delete(s.wishes, ref)
	}
}

// forget notes that an object is gone.
func (s *statuses) forget(ref model.ObjectRef) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.wishes, ref)
	delete(s.troubles, ref)
}

// trouble notes why something cannot be made for an object; empty when it can.
func (s *statuses) trouble(ref model.ObjectRef, why string) {
	s.mu.Lock()
	_, wished := s.wishes[ref]
	news := s.troubles[ref] != why && (wished || why == "")
	if why == "" {
		delete(s.troubles, ref)
	} else if wished {
		s.troubles[ref] = why
	}
	s.mu.Unlock()
	if news {
		s.queue.add(ref)
	}
}

func (s *statuses) read(ref model.ObjectRef) (source.KubeObject, wish, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.wishes[ref]
	return s.live[ref], w.troubled(s.troubles[ref]), ok && s.live[ref] != nil
}

// look brings one object's status in line.
func (s *statuses) look(ctx context.Context, ref model.ObjectRef) (time.Duration, error) {
	live, w, ok := s.read(ref)
	if !ok || live.GetGeneration() != w.generation {
		return 0, nil // what it is about has gone, or is about to be resolved
	}
	patch := statusPatch(live, w, metav1.Now())
	if patch == nil {
		if w.farewell != nil {
			s.parted(ref, w)
		}
		return 0, nil
	}
	if wait, fought := s.restrain(ref, w); wait > 0 {
		if fought {
			s.metrics.writes.WithLabelValues(ref.Kind, "fought").Inc()
		}
		return wait, nil
	}
	now, err := s.write(ctx, ref, live, patch)
	switch {
	case apierrors.IsNotFound(err):
		return 0, nil
	case err != nil:
		return 0, err
	}
	s.metrics.writes.WithLabelValues(ref.Kind, "ok").Inc()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live[ref] == live {
		s.live[ref] = now
	}
	return 0, nil
}

func (s *statuses) write(ctx context.Context, ref model.ObjectRef, live source.KubeObject, patch any) (source.KubeObject, error) {
	resource, ok := kube.Resource(ref.Kind)
	if !ok {
		return nil, fmt.Errorf("%s has no resource", ref.Kind)
	}
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": live.GetResourceVersion()}, "status": patch,
	})
	if err != nil {
		return nil, fmt.Errorf("encode the status of %s: %w", ref, err)
	}
	got, err := s.client.Resource(resource).Namespace(ref.Namespace).Patch(ctx, ref.Name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: manager}, "status")
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
func (s *statuses) restrain(ref model.ObjectRef, w wish) (wait time.Duration, fought bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, h := time.Now(), s.written[ref]
	if h == nil || now.Sub(h.contest.last) > calm {
		h = &history{wish: w}
		s.written[ref] = h
	}
	if equal(h.wish, w) {
		wait, news := h.contest.wait(now)
		if news {
			s.log.Warn("somebody else writes over our status; writing it less and less often", "object", ref.String())
		}
		if wait > 0 {
			return wait, true
		}
	}
	if wait := h.pacer.wait(now); wait > 0 {
		return wait, false
	}
	if !equal(h.wish, w) {
		h.wish, h.contest = w, contest{}
	}
	h.contest.wrote(now)
	h.pacer.wrote(now)
	return 0, false
}

func (s *statuses) failed(ref model.ObjectRef, err error) {
	if apierrors.IsConflict(err) {
		s.metrics.writes.WithLabelValues(ref.Kind, "conflict").Inc()
		s.calmed(ref)
		return // what was written in between is about to be told
	}
	s.metrics.writes.WithLabelValues(ref.Kind, "error").Inc()
	s.log.Warn("cannot write a status; trying again", "object", ref.String(), "err", err)
}

// calmed takes back that a wish was written, as it was not.
func (s *statuses) calmed(ref model.ObjectRef) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.written[ref]; h != nil && h.contest.times > 0 {
		h.contest.times--
	}
}
