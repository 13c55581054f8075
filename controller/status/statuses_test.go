package status

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/controller/queue"
	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// writer is a Statuses whose API server is a test's.
type writer struct {
	*Statuses
	t *testing.T

	mu    sync.Mutex
	paths []string
}

// newWriter has TCPRoutes in version v1alpha2, and every write answered by a status code.
func newWriter(t *testing.T, code int) *writer {
	w := &writer{t: t}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.paths = append(w.paths, r.Method+" "+r.URL.Path)
		w.mu.Unlock()
		answer := any(map[string]any{"apiVersion": "gateway.networking.k8s.io/v1alpha2", "kind": "TCPRoute", "metadata": map[string]any{"namespace": "shop", "name": "db"}})
		if code != http.StatusOK {
			answer = metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Code: int32(code), Reason: metav1.StatusReasonNotFound}
		}
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(code)
		_ = json.NewEncoder(rw).Encode(answer)
	}))
	t.Cleanup(server.Close)
	client, err := dynamic.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	w.Statuses = NewStatuses(Config{
		Client: client, Urgent: func(model.ObjectRef) bool { return false }, Log: slog.New(slog.DiscardHandler), Manager: "test",
		Writes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "writes"}, []string{"kind", "result"}),
		Resource: func(kind string) (schema.GroupVersionResource, bool) {
			return schema.GroupVersionResource{Group: gatewayv1.GroupName, Version: "v1alpha2", Resource: "tcproutes"}, kind == "TCPRoute"
		},
	})
	return w
}

// asked are the requests so far.
func (w *writer) asked() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprint(w.paths)
}

func (w *writer) look(ref model.ObjectRef) (time.Duration, error) {
	w.t.Helper()
	return w.Statuses.look(w.t.Context(), ref)
}

// count is how many writes of TCPRoutes came to a result.
func (w *writer) count(result string) int {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(w.Writes)
	families, err := registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "result" && l.GetValue() == result {
					return int(m.GetCounter().GetValue())
				}
			}
		}
	}
	return 0
}

// db is a TCPRoute that is there, and has a status to be written.
func (w *writer) db() (model.ObjectRef, source.KubeObject) {
	ref := model.ObjectRef{Kind: "TCPRoute", Namespace: "shop", Name: "db"}
	route := &gatewayv1.TCPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db", Generation: 1}}
	route.Spec.ParentRefs = []gatewayv1.ParentReference{{Name: "edge"}}
	w.See(ref, route)
	w.Want(ref, func(wish *Wish) {
		wish.Generation = 1
		wish.Status = &model.Status{Parents: []model.ParentStatus{{Conditions: []model.Condition{{Type: "Accepted", Status: true, Reason: "Accepted"}}}}}
	})
	return ref, route
}

// TestVersionThatWasSeen: an older release of the Gateway API has TCPRoutes in an older
// version only.
func TestVersionThatWasSeen(t *testing.T) {
	w := newWriter(t, http.StatusOK)
	ref, _ := w.db()
	if wait, err := w.look(ref); wait != 0 || err != nil || w.count("ok") != 1 {
		t.Errorf("it waits %s: %v", wait, err)
	}
	if want := "[PATCH /apis/gateway.networking.k8s.io/v1alpha2/namespaces/shop/tcproutes/db/status]"; w.asked() != want {
		t.Errorf("asked were %s, want %s", w.asked(), want)
	}
}

// TestWhatIsNotFound: of an object that has just been deleted nothing is said; one that
// is there all the same is told, time and again.
func TestWhatIsNotFound(t *testing.T) {
	w := newWriter(t, http.StatusNotFound)
	ref, route := w.db()
	if wait, err := w.look(ref); wait != missPause || err != nil {
		t.Errorf("at first it waits %s, want %s: %v", wait, missPause, err)
	}
	w.See(ref, nil)
	if wait, err := w.look(ref); wait != 0 || err != nil {
		t.Errorf("gone, it waits %s: %v", wait, err)
	}
	w.See(ref, route)
	if wait, err := w.look(ref); wait != missPause || err != nil {
		t.Errorf("there again, it waits %s, want %s: %v", wait, missPause, err)
	}
	const times = 5
	for said := 0; said < times; {
		wait, err := w.look(ref)
		switch {
		case err != nil:
			w.failed(ref, err)
			said++
		case wait == 0 || wait > queue.Pace:
			t.Fatalf("after %d errors, that it is not found is none, and it waits %s", said, wait)
		default:
			time.Sleep(wait) // as the queue does
		}
	}
	if errors, fought := w.count("error"), w.count("fought"); errors != times || fought != 0 {
		t.Errorf("%d errors are counted, and %d times that somebody wrote over it", errors, fought)
	}
}
