package kube

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// fakeAPI is an API server of a few objects whose answers a test chooses. Like the
// real one, it asks who somebody is when a request comes, and not while a watch lasts.
type fakeAPI struct {
	*httptest.Server

	mu      sync.Mutex
	changed chan struct{} // closed at each change
	objects map[string]map[string]any
	events  []fakeEvent
	refuses int // the status that every request gets; zero for the right one
	proxied bool
	cut     chan struct{} // closed to end all watches
	asked   int
}

type fakeEvent struct {
	Type   string         `json:"type"`
	Object map[string]any `json:"object"`
	path   string
}

func newFakeAPI(t *testing.T) *fakeAPI {
	f := &fakeAPI{objects: map[string]map[string]any{}, changed: make(chan struct{}), cut: make(chan struct{})}
	f.Server = httptest.NewServer(f)
	t.Cleanup(func() { f.cutWatches(); f.Close() })
	return f
}

func (f *fakeAPI) config() *rest.Config { return &rest.Config{Host: f.URL} }

// put has an object at a path such as /api/v1/nodes/n1; nil removes it.
func (f *fakeAPI) put(path string, metadata, more map[string]any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was, kind := f.objects[path], "MODIFIED"
	obj := map[string]any{"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata"}
	switch {
	case metadata == nil:
		kind, obj = "DELETED", was
		delete(f.objects, path)
	case was == nil:
		kind = "ADDED"
		fallthrough
	default:
		metadata["name"] = path[strings.LastIndexByte(path, '/')+1:]
		metadata["resourceVersion"] = fmt.Sprint(len(f.events) + 1)
		obj["metadata"] = metadata
		for k, v := range more {
			obj[k] = v
		}
		f.objects[path] = obj
	}
	f.events = append(f.events, fakeEvent{kind, obj, path})
	close(f.changed)
	f.changed = make(chan struct{})
}

// refuse has every request answered with a status; zero for the right answer.
func (f *fakeAPI) refuse(status int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuses = status
}

func (f *fakeAPI) cutWatches() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.cut)
	f.cut = make(chan struct{})
}

func (f *fakeAPI) requests() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.asked++
	refuses, proxied := f.refuses, f.proxied
	obj := f.objects[r.URL.Path]
	f.mu.Unlock()
	name, list := strings.CutPrefix(r.URL.Query().Get("fieldSelector"), "metadata.name=")
	switch {
	case proxied:
		http.NotFound(w, r)
	case refuses != 0:
		answer(w, refuses, status(refuses))
	case list && r.URL.Query().Get("sendInitialEvents") != "":
		answer(w, http.StatusUnprocessableEntity, status(http.StatusUnprocessableEntity)) // as an older one
	case list && r.URL.Query().Get("watch") != "":
		f.stream(w, r, r.URL.Path+"/"+name)
	case list:
		f.list(w, r.URL.Path+"/"+name)
	case obj == nil:
		answer(w, http.StatusNotFound, status(http.StatusNotFound))
	default:
		answer(w, http.StatusOK, obj)
	}
}

func status(code int) any {
	reasons := map[int]metav1.StatusReason{
		401: metav1.StatusReasonUnauthorized, 403: metav1.StatusReasonForbidden, 404: metav1.StatusReasonNotFound,
		422: metav1.StatusReasonInvalid, 500: metav1.StatusReasonInternalError,
	}
	return metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Code: int32(code), Reason: reasons[code], Message: "the test says so",
	}
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}

func (f *fakeAPI) list(w http.ResponseWriter, path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	items := []any{}
	if obj := f.objects[path]; obj != nil {
		items = append(items, obj)
	}
	answer(w, http.StatusOK, map[string]any{
		"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": map[string]any{"resourceVersion": fmt.Sprint(len(f.events))}, "items": items,
	})
}

// stream tells of events since a resource version, which is their number.
func (f *fakeAPI) stream(w http.ResponseWriter, r *http.Request, path string) {
	var next int
	_, _ = fmt.Sscan(r.URL.Query().Get("resourceVersion"), &next)
	w.Header().Set("Content-Type", "application/json")
	flusher := w.(http.Flusher)
	flusher.Flush()
	f.mu.Lock()
	cut := f.cut
	f.mu.Unlock()
	for {
		f.mu.Lock()
		news, changed := f.events[next:], f.changed
		next = len(f.events)
		f.mu.Unlock()
		for _, e := range news {
			if e.path == path {
				_ = json.NewEncoder(w).Encode(e)
			}
		}
		flusher.Flush()
		select {
		case <-changed:
		case <-cut:
			return
		case <-r.Context().Done():
			return
		}
	}
}
