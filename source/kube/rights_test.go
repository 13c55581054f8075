package kube

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice.io/sluice/test/apiserver"
)

func agentRights(t *testing.T, copies string) apiserver.Rights {
	return apiserver.Documented(t, "agent", map[string]string{"sluice-secrets": copies, "its own namespace (--namespace)": "default"})
}

// TestPeopleSeeWhatTheyMay: for the command line, what may not be read is absent, and
// that is said.
func TestPeopleSeeWhatTheyMay(t *testing.T) {
	api := apiserver.Get(t)
	copies := copiesNamespace(t, api)
	config := api.As(t, "slt-people", agentRights(t, copies).Without(t, "tlsroutes", "list", "watch"))
	r := read(t, Options{Config: config, Pods: true, OfNode: "ghost1", Copies: copies, Partial: true})
	r.begun()
	r.await("the missing right is named", func() bool { return r.problem("tlsroutes cannot be read, and they count as absent") })
	if r.get("Service", "default", "kubernetes") == nil {
		t.Error("others are not read")
	}
	api.As(t, "slt-people", agentRights(t, copies))
	r.await("the right is used when it is given", func() bool { return !r.problem("tlsroutes") })
}

// TestAMissingRightIsNotAbsence: for each kind, an agent that starts without its last state
// waits for the right, and says so.
func TestAMissingRightIsNotAbsence(t *testing.T) {
	api := apiserver.Get(t)
	copies := copiesNamespace(t, api)
	for _, k := range kindsFor(Options{Pods: true, OfNode: "ghost1", Copies: copies}) {
		t.Run(k.plural, func(t *testing.T) {
			t.Parallel()
			config := api.Config(t)
			allow := apiserver.Refuse(config, k.plural, "list", "watch")
			r := read(t, Options{Config: config, Pods: true, OfNode: "ghost1", Copies: copies})
			r.await("it says what it waits for", func() bool {
				return strings.HasPrefix(r.source.Progress(), "waiting for the API server's "+k.plural+" ("+k.plural+" cannot be read")
			})
			if r.count() > 0 {
				t.Errorf("without the right, it hands on %v", r.since(0))
			}
			allow()
			r.begun()
			if r.source.Progress() != "" {
				t.Errorf("with the right: %s", r.source.Progress())
			}
		})
	}
}

// TestWhatIsKnownOutlastsARight: an agent's restart with its last state, and an outage after
// which it may no longer list, take nothing from what is known.
func TestWhatIsKnownOutlastsARight(t *testing.T) {
	api := apiserver.Get(t)
	ns := api.Namespace(t, "slt-outlast", "sluice.io/mesh=enabled")
	copies := copiesNamespace(t, api)
	api.Apply(t, shopYAML(ns)+"---"+podYAML(ns, "web", "ghost1", "")+copyYAML(copies, "abc", "Secret/shop/cert", "one"))
	state, secrets := filepath.Join(t.TempDir(), "state"), memory(t)
	o := Options{
		Pods: true, OfNode: "ghost1", Copies: copies, StateDir: state, SecretsDir: secrets,
		Config: api.As(t, "slt-outlast", agentRights(t, copies)),
	}
	first := read(t, o)
	first.begun()
	complete := func(r *reader) bool {
		return r.get("Service", ns, "cart") != nil && r.get("HTTPRoute", ns, "cart") != nil && r.get("Workload", ns, "web") != nil && r.get("Secret", "shop", "cert") != nil
	}
	if !complete(first) {
		t.Fatal("the first batch is not complete")
	}
	less := agentRights(t, copies)
	kinds := kindsFor(o)
	for _, k := range kinds {
		less = less.Without(t, k.plural, "list", "watch")
	}
	less.Cluster += "- {apiGroups: [none], resources: [none], verbs: [get]}\n" // a role must have a rule
	api.As(t, "slt-outlast", less)
	api.Stop(t)
	api.Start(t)
	for _, k := range kinds {
		first.await(k.plural+" are refused", func() bool { return first.problem(k.plural + " cannot be read") })
	}
	if !complete(first) {
		t.Error("what was known is gone with the right to list it")
	}
	first.stop()

	second := read(t, o)
	second.begun()
	if !complete(second) {
		t.Error("what was known is gone with a restart without the right to list it")
	}
	api.As(t, "slt-outlast", agentRights(t, copies))
	api.Kube(t, "delete", "httproute", "-n", ns, "cart")
	second.await("what has changed since", func() bool { return second.get("HTTPRoute", ns, "cart") == nil })
	second.await("all is well again", func() bool { return !second.problem("cannot be read") })
	for ref, obj := range second.since(0) {
		if obj == nil && ref.Namespace == ns && ref.Kind != "HTTPRoute" {
			t.Errorf("%s was lost on the way", ref)
		}
	}
}

// TestLostSecretsAreWaitedFor: a last state without its Secrets is not one in which there are
// none, as long as the API server is there to give the right to read them.
func TestLostSecretsAreWaitedFor(t *testing.T) {
	api := apiserver.Get(t)
	copies := copiesNamespace(t, api)
	api.Apply(t, copyYAML(copies, "abc", "Secret/shop/cert", "one"))
	o := Options{
		Config: api.Config(t), Pods: true, OfNode: "ghost1", Copies: copies, StateDir: filepath.Join(t.TempDir(), "state"), SecretsDir: memory(t), Patience: time.Millisecond,
	}
	first := read(t, o)
	first.begun()
	first.stop()
	if err := os.RemoveAll(o.SecretsDir); err != nil {
		t.Fatal(err)
	}
	o.Config = api.Config(t)
	allow := apiserver.Refuse(o.Config, "secrets", "list", "watch")
	second := read(t, o)
	second.await("all others are read", func() bool {
		return strings.HasPrefix(second.source.Progress(), "waiting for the API server's secrets (secrets cannot be read")
	})
	if second.count() > 0 {
		t.Errorf("without its Secrets, it hands on %d objects", len(second.since(0)))
	}
	allow()
	second.begun()
	if second.get("Secret", "shop", "cert") == nil {
		t.Error("the Secret is not in the first batch")
	}
}
