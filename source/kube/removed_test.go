package kube

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// TestRemoved: what an API server says of a DaemonSet, in the order of its answers.
func TestRemoved(t *testing.T) {
	const (
		there = `{"apiVersion":"meta.k8s.io/v1","kind":"PartialObjectMetadata","metadata":{"name":"a"}}`
		going = `{"apiVersion":"meta.k8s.io/v1","kind":"PartialObjectMetadata","metadata":{"name":"a","deletionTimestamp":"2026-01-01T00:00:00Z"}}`
	)
	status := func(reason string) string {
		return `{"apiVersion":"v1","kind":"Status","status":"Failure","reason":"` + reason + `"}`
	}
	type reply struct {
		code int
		body string
	}
	for name, c := range map[string]struct {
		replies []reply // the last one stays
		want    bool
		fails   bool
	}{
		"a pod is replaced":        {[]reply{{200, there}}, false, false},
		"it is going":              {[]reply{{200, going}}, true, false},
		"it is gone":               {[]reply{{404, status("NotFound")}}, true, false},
		"roles are not known yet":  {[]reply{{403, status("Forbidden")}, {200, there}}, false, false},
		"refused, and gone":        {[]reply{{401, status("Unauthorized")}, {404, status("NotFound")}}, true, false},
		"the rights are gone, too": {[]reply{{403, status("Forbidden")}}, true, false},
		"the server is in trouble": {[]reply{{500, status("InternalError")}}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/apis/apps/v1/namespaces/system/daemonsets/a" {
					t.Errorf("asked for %s", r.URL.Path)
				}
				now := c.replies[min(asked, len(c.replies)-1)]
				asked++
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(now.code)
				_, _ = w.Write([]byte(now.body))
			}))
			defer server.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			got, err := Removed(ctx, &rest.Config{Host: server.URL}, "system", "a")
			if got != c.want || (err != nil) != c.fails {
				t.Errorf("removed %v, %v; want %v", got, err, c.want)
			}
		})
	}
}

// TestRemovedWithoutAServer: silence is no reason to remove anything.
func TestRemovedWithoutAServer(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	if got, err := Removed(t.Context(), &rest.Config{Host: server.URL}, "system", "a"); got || err == nil {
		t.Errorf("removed %v, %v", got, err)
	}
}
