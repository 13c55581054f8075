package kube

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"sluice.io/sluice/test/apiserver"
)

const (
	setPath  = "/apis/apps/v1/namespaces/system/daemonsets/agent"
	nodePath = "/api/v1/nodes/n1"
)

// stage is an agent's place, at an API server that a test directs.
type stage struct {
	*fakeAPI
	t *testing.T
	*Tenure
}

// meta is the metadata of an object that is there, or with a time, is going.
func meta(going ...string) map[string]any {
	m := map[string]any{"uid": "1"}
	for _, finalizer := range going {
		m["deletionTimestamp"], m["finalizers"] = "2026-01-01T00:00:00Z", []string{finalizer}
	}
	return m
}

func (s *stage) set(metadata map[string]any, selector map[string]any) {
	s.put(setPath, metadata, map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"nodeSelector": selector}}}})
}

func (s *stage) node(labels map[string]any) {
	s.put(nodePath, map[string]any{"labels": labels}, nil)
}

// blind ends the watches, and waits until another one has been tried and refused.
func (s *stage) blind(status int) {
	s.t.Helper()
	s.refuse(status)
	s.cutWatches()
	was := s.requests()
	apiserver.Eventually(s.t, "the watches are tried again", func() bool { return s.requests() >= was+2 })
}

func newStage(t *testing.T, there bool) *stage {
	s := &stage{fakeAPI: newFakeAPI(t), t: t}
	selector := map[string]any{"os": "linux"}
	s.node(map[string]any{"os": "linux"})
	s.put("/api/v1/namespaces/system", meta(), nil)
	if there {
		s.set(meta(), selector)
	}
	tenure, err := NewTenure(s.config(), Place{Namespace: "system", DaemonSet: "agent", Node: "n1"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.Tenure, tenure.settle = tenure, 300*time.Millisecond
	watchTenure(t, tenure)
	apiserver.Eventually(t, "the watches have begun", func() bool {
		now, _ := tenure.namespace.last()
		return now == stays && (!there || tenure.set.seen())
	})
	return s
}

func watchTenure(t *testing.T, tenure *Tenure) {
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { tenure.Run(ctx) })
	t.Cleanup(func() { cancel(); watching.Wait() })
}

// TestTenure: why an agent may be stopped, and whether it takes all with it.
func TestTenure(t *testing.T) {
	linux := map[string]any{"os": "linux"}
	for name, c := range map[string]struct {
		happens func(*stage)
		ended   bool
		unknown bool
	}{
		"its pod is replaced":                  {happens: func(*stage) {}},
		"its pod was deleted by force":         {func(s *stage) { s.refuse(401) }, false, true},
		"the signing key was changed":          {func(s *stage) { s.blind(401) }, false, true},
		"an upgrade took its rights":           {func(s *stage) { s.blind(403) }, false, true},
		"the API server is in trouble":         {func(s *stage) { s.blind(500) }, false, true},
		"the API server is away":               {func(s *stage) { s.cutWatches(); s.CloseClientConnections(); s.Listener.Close() }, false, true},
		"a proxy knows nothing":                {func(s *stage) { s.cutWatches(); s.mu.Lock(); s.proxied = true; s.mu.Unlock() }, false, true},
		"roles are not known for a moment":     {happens: func(s *stage) { s.refuse(403); soon(s, func() { s.refuse(0) }) }},
		"withdrawn":                            {func(s *stage) { s.set(meta("foregroundDeletion"), linux) }, true, false},
		"withdrawn, and the rights are gone":   {func(s *stage) { s.set(meta("foregroundDeletion"), linux); s.sees(over); s.refuse(403) }, true, false},
		"uninstalled without hooks":            {func(s *stage) { s.set(nil, nil); s.sees(missing); s.refuse(403) }, true, false},
		"uninstalled with its service account": {func(s *stage) { s.set(nil, nil); s.sees(missing); s.refuse(401) }, true, false},
		"uninstalled, and the watch is cut":    {func(s *stage) { s.set(nil, nil); s.sees(missing); s.blind(401) }, true, false},
		"uninstalled while nobody watched":     {func(s *stage) { s.blind(401); s.set(nil, nil) }, false, true},
		"the set is deleted by hand":           {func(s *stage) { s.set(nil, nil) }, true, false},
		"deleted, seen by the question only":   {func(s *stage) { s.blind(403); s.set(nil, nil); s.refuse(0); soon(s, func() { s.refuse(401) }) }, true, false},
		"the namespace goes": {func(s *stage) {
			s.put("/api/v1/namespaces/system", meta("kubernetes"), nil)
			apiserver.Eventually(s.t, "it is seen", func() bool { now, _ := s.Tenure.namespace.last(); return now == over })
			s.refuse(401)
		}, true, false},
		"the set is replaced": {happens: func(s *stage) { s.set(nil, nil); soon(s, func() { s.set(meta(), linux) }) }},
		"all is replaced, with its rights": {happens: func(s *stage) {
			s.set(nil, nil)
			s.sees(missing)
			s.refuse(401)
			soon(s, func() { s.set(meta(), linux) })
		}},
		"replaced before it is stopped":           {func(s *stage) { s.set(nil, nil); s.sees(missing); s.set(meta(), linux); s.sees(stays); s.refuse(401) }, false, true},
		"orphaned":                                {happens: func(s *stage) { s.set(meta("orphan"), linux) }},
		"the node is wanted no longer":            {func(s *stage) { s.set(meta(), map[string]any{"os": "linux", "edge": ""}) }, true, false},
		"the node loses its label":                {func(s *stage) { s.node(map[string]any{}) }, true, false},
		"the node loses its label for a moment":   {happens: func(s *stage) { s.node(map[string]any{}); soon(s, func() { s.node(linux) }) }},
		"the node is gone":                        {happens: func(s *stage) { s.put(nodePath, nil, nil) }},
		"the set wants all nodes, and is changed": {happens: func(s *stage) { s.set(meta(), nil) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, true)
			c.happens(s)
			check(t, s.Tenure, c.ended, c.unknown)
		})
	}
}

// TestTenureOfASetThatNeverWas: a wrong name is no reason to remove anything.
func TestTenureOfASetThatNeverWas(t *testing.T) {
	s := newStage(t, false)
	check(t, s.Tenure, false, true)
	s.refuse(401)
	check(t, s.Tenure, false, true)
}

// TestTenureOfOneWhoIsToldToHurry: who has no time to find out removes nothing.
func TestTenureOfOneWhoIsToldToHurry(t *testing.T) {
	s := newStage(t, true)
	s.set(nil, nil)
	s.Tenure.settle = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if ended, err := s.Ended(ctx); ended || err == nil {
		t.Errorf("ended %v, %v", ended, err)
	}
}

func check(t *testing.T, tenure *Tenure, ended, unknown bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got, err := tenure.Ended(ctx)
	if got != ended || (err != nil) != unknown {
		t.Errorf("ended %v, %v; want %v, unknown %v", got, err, ended, unknown)
	}
	if err != nil && !strings.Contains(err.Error(), "DaemonSet system/agent") {
		t.Errorf("the error does not name the DaemonSet: %v", err)
	}
}

// sees waits until the watch has seen the set so.
func (s *stage) sees(want word) {
	s.t.Helper()
	apiserver.Eventually(s.t, "the watch sees it", func() bool { now, _ := s.Tenure.set.last(); return now == want })
}

// soon does something once the API server has been asked.
func soon(s *stage, do func()) {
	was := s.requests()
	var waiting sync.WaitGroup
	s.t.Cleanup(waiting.Wait)
	waiting.Go(func() {
		for s.requests() < was+2 && s.t.Context().Err() == nil {
			time.Sleep(time.Millisecond)
		}
		do()
	})
}

// TestTenureOfRealRights: what an API server really says to an agent whose pod was
// deleted by force, whose role was taken, and which is uninstalled without hooks.
func TestTenureOfRealRights(t *testing.T) {
	api := apiserver.Get(t)
	ns := api.Namespace(t, "slt-tenure")
	api.Apply(t, tenureYAML(ns)+"---"+podYAML(ns, "first", "ghost1", "serviceAccountName: agent,"))
	token := func(more ...string) *Tenure {
		config := rest.AnonymousClientConfig(api.Config(t))
		config.BearerToken = strings.TrimSpace(api.Kube(t, append([]string{"create", "token", "-n", ns, "agent"}, more...)...))
		tenure, err := NewTenure(config, Place{Namespace: ns, DaemonSet: "agent", Node: "ghost1"}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		tenure.settle = time.Second
		watchTenure(t, tenure)
		apiserver.Eventually(t, "the watch has begun", tenure.set.seen)
		return tenure
	}
	ended := func(tenure *Tenure, want, unknown bool, because string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		got, err := tenure.Ended(ctx)
		if got != want || (err != nil) != unknown || unknown && !strings.Contains(err.Error(), because) {
			t.Errorf("ended %v, %v; want %v, unknown %v: %s", got, err, want, unknown, because)
		}
	}
	forced, other := token("--bound-object-kind=Pod", "--bound-object-name=first"), token()
	ended(forced, false, false, "")
	api.Kube(t, "delete", "pod", "-n", ns, "first", "--force", "--grace-period=0")
	apiserver.Eventually(t, "the token is worth nothing", func() bool {
		_, err := forced.ask(t.Context())
		return apierrors.IsUnauthorized(err)
	})
	ended(forced, false, true, "Unauthorized")
	ended(other, false, false, "")

	api.Kube(t, "delete", "rolebinding", "-n", ns, "agent")
	apiserver.Eventually(t, "the right is gone", func() bool {
		_, err := other.ask(t.Context())
		return apierrors.IsForbidden(err)
	})
	ended(other, false, true, "forbidden")
	api.Kube(t, "delete", "daemonset", "-n", ns, "agent")
	api.Kube(t, "delete", "serviceaccount", "-n", ns, "agent")
	ended(other, true, false, "") // it was watching
}

// TestWithdraw: the agents' DaemonSet goes, marked as going while a pod of it is left.
func TestWithdraw(t *testing.T) {
	api := apiserver.Get(t)
	ns := api.Namespace(t, "slt-withdraw")
	api.Apply(t, tenureYAML(ns))
	owner := api.Kube(t, "get", "daemonset", "-n", ns, "agent", "-o", "jsonpath={.metadata.uid}")
	api.Apply(t, strings.Replace(podYAML(ns, "first", "ghost1", ""), "labels: {app: first}",
		"labels: {none: none, app.kubernetes.io/name: sluice, app.kubernetes.io/component: agent}, finalizers: [example.com/held], ownerReferences: [{apiVersion: apps/v1, kind: DaemonSet, name: agent, uid: "+owner+", controller: true, blockOwnerDeletion: true}]", 1))
	release := sync.OnceFunc(func() {
		api.Kube(t, "patch", "pod", "-n", ns, "first", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	})
	t.Cleanup(release)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	left, err := Withdraw(ctx, api.Config(t), ns, "agent")
	if err != nil || len(left) != 1 || left[0] != "ghost1" {
		t.Errorf("left %v, %v", left, err)
	}
	if api.Kube(t, "get", "daemonset", "-n", ns, "agent", "-o", "jsonpath={.metadata.deletionTimestamp}") == "" {
		t.Error("it is not marked as going")
	}
	release()
	api.Kube(t, "delete", "pod", "-n", ns, "first", "--force", "--grace-period=0", "--ignore-not-found")
	ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 2 { // also when it is gone
		if left, err := Withdraw(ctx, api.Config(t), ns, "agent"); err != nil || len(left) > 0 {
			t.Errorf("left %v, %v", left, err)
		}
	}
}

func tenureYAML(ns string) string {
	return strings.ReplaceAll(`
apiVersion: v1
kind: ServiceAccount
metadata: {name: agent, namespace: NS}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: agent, namespace: NS}
rules:
- {apiGroups: [apps], resources: [daemonsets], resourceNames: [agent], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: agent, namespace: NS}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: agent}
subjects: [{kind: ServiceAccount, name: agent, namespace: NS}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: NS}
spec:
  selector: {matchLabels: {none: none}}
  template:
    metadata: {labels: {none: none}}
    spec: {nodeSelector: {none: none}, containers: [{name: c, image: example.com/none}]}
`, "NS", ns)
}
