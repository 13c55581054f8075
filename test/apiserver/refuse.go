package apiserver

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"path"
	"slices"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// Refuse has whoever uses a config refused what he asks of a resource, with some of the
// verbs get, list and watch, in the words of a server at which he may not; until allow is
// called. It is quicker than to take the right away there.
func Refuse(config *rest.Config, resource string, verbs ...string) (allow func()) {
	r := &refusal{resource: resource, verbs: verbs}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return &refusing{refusal: r, next: next}
	})
	return func() { r.over.Store(true) }
}

type refusal struct {
	resource string
	verbs    []string
	over     atomic.Bool
}

type refusing struct {
	*refusal
	next http.RoundTripper
}

// RoundTrip refuses, or lets pass.
func (r *refusing) RoundTrip(req *http.Request) (*http.Response, error) {
	if r.over.Load() || req.Method != http.MethodGet || !r.meant(req) {
		return r.next.RoundTrip(req)
	}
	body, err := json.Marshal(metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Code: http.StatusForbidden,
		Reason: metav1.StatusReasonForbidden, Message: r.resource + " is forbidden: the test says so",
	})
	if err != nil {
		return nil, err
	}
	return &http.Response{
		Status: "403 Forbidden", StatusCode: http.StatusForbidden, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: req,
	}, nil
}

// meant tells whether a request is one for the resource.
func (r *refusing) meant(req *http.Request) bool {
	verb := "get"
	switch {
	case path.Base(req.URL.Path) != r.resource:
		return path.Base(path.Dir(req.URL.Path)) == r.resource && slices.Contains(r.verbs, verb)
	case req.URL.Query().Get("watch") != "":
		verb = "watch"
	default:
		verb = "list"
	}
	return slices.Contains(r.verbs, verb)
}
