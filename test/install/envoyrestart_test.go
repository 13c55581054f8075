package install_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice.io/sluice/test/cluster"
	"sluice.io/sluice/test/install"
)

// slowly is how long slow requests take: longer than an Envoy needs to be
// replaced, and not as long as the old one has to end.
const slowly = 12 * time.Second

// envoyRestarts: every node's Envoy is replaced under clients that ask all the
// time, over new connections and over those that they keep, and under requests
// that take long. None fails: the new Envoy takes the sockets over from the old.
func (w *world) envoyRestarts(t *testing.T) {
	before := w.envoyPods(t)
	clients := w.steady(t, 2, steadyPause)
	slow := w.slowRequests(t)
	w.kubectl(t, "", "-n", install.Namespace, "rollout", "restart", "daemonset/sluice-envoy")
	w.kubectl(t, "", "-n", install.Namespace, "rollout", "status", "daemonset/sluice-envoy", "--timeout", patience.String())
	slow.end()
	eventually(t, "the old pods to end, each in its own time", func() error {
		for _, p := range w.envoyPods(t) {
			if slices.Contains(before, p) {
				return fmt.Errorf("%s is still there", p)
			}
		}
		return nil
	})
	clients.expectNoFailure(t)
	t.Logf("%d slow requests, %d failed", slow.asked, len(slow.errs))
	if slow.asked < 5 || len(slow.errs) > 0 {
		t.Errorf("%d of %d slow requests failed: %v", len(slow.errs), slow.asked, slow.errs)
	}
	for i := 1; i <= w.cluster.Nodes(); i++ {
		if line := w.envoyLine(t, i); !strings.Contains(line, "--restart-epoch 1") {
			t.Errorf("node %d: Envoy did not restart by hot restart: %s", i, line)
		}
	}
	w.routeIsServed(t, "after-envoys")
}

func (w *world) envoyPods(t *testing.T) []string {
	return strings.Fields(w.kubectl(t, "", "-n", install.Namespace, "get", "pods", "-l", "app.kubernetes.io/component=envoy", "-o", "name"))
}

// envoyLine is the command line of a node's Envoy.
func (w *world) envoyLine(t *testing.T, node int) string {
	t.Helper()
	out, err := w.cluster.InNode(w.ctx, node, "/bin/sh", "-c", `for p in /proc/[0-9]*; do tr '\0' ' ' < $p/cmdline | grep '^/usr/bin/envoy '; done; true`)
	w.must(t, err)
	return out
}

func slowClient(from cluster.Place) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: from.DialContext}, Timeout: 2 * slowly}
}

func ask(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}

// slow are requests that take long, one started each second.
type slow struct {
	mu    sync.Mutex
	asked int
	errs  []error
	stop  chan struct{}
	all   sync.WaitGroup
}

func (w *world) slowRequests(t *testing.T) *slow {
	s := &slow{stop: make(chan struct{})}
	one := func(i int) {
		url := fmt.Sprintf("http://%s/?delay=%s", net.JoinHostPort(w.addresses[i%len(w.addresses)], "80"), slowly)
		client := slowClient(w.cluster.Control())
		defer client.CloseIdleConnections()
		began := time.Now()
		err := ask(w.ctx, client, url)
		if took := time.Since(began); err == nil && took < slowly {
			err = fmt.Errorf("a request that should take %s took %s", slowly, took)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked++
		if err != nil {
			s.errs = append(s.errs, fmt.Errorf("asked at %s: %w", began.Format("15:04:05.000"), err))
		}
	}
	for i := range 4 {
		s.all.Go(func() { one(i) })
	}
	s.all.Go(func() {
		each := time.NewTicker(time.Second)
		defer each.Stop()
		for i := 0; ; i++ {
			select {
			case <-s.stop:
				return
			case <-w.ctx.Done():
				return
			case <-each.C:
				s.all.Go(func() { one(i) })
			}
		}
	})
	return s
}

// end starts no more, and waits for those that are under way.
func (s *slow) end() {
	close(s.stop)
	s.all.Wait()
}
