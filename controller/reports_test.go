package controller

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"sluice.io/sluice/controller/status"
	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
	"sluice.io/sluice/report"
	"sluice.io/sluice/test/apiserver"
)

func reportOf(gateway, address string, port int32, message string) *v1alpha1.NodeReport {
	return &v1alpha1.NodeReport{Rejected: []v1alpha1.RejectedPart{{
		Gateway: v1alpha1.GatewayReference{Namespace: "shop", Name: gateway}, Address: v1alpha1.IPAddress(address), Port: port, Protocol: "TCP", Message: message,
	}}}
}

func routesOf(hosts ...string) *v1alpha1.NodeReport {
	r := &v1alpha1.NodeReport{}
	for _, h := range hosts {
		r.Rejected = append(r.Rejected, v1alpha1.RejectedPart{
			Gateway: v1alpha1.GatewayReference{Namespace: "shop", Name: "web"}, Host: h, Port: 80, Protocol: "TCP", Message: "no",
		})
	}
	return r
}

// TestWhatEnvoysReject: a port that every node rejects is not served, and what only
// some reject is told; of what others say nothing is believed.
func TestWhatEnvoysReject(t *testing.T) {
	p := newPorts()
	p.set(model.PortKey{Gateway: gw("web"), Port: 80, Protocol: model.TCP}, 20080)
	p.set(model.PortKey{Gateway: gw("other"), Port: 80, Protocol: model.TCP}, 20081)
	for name, c := range map[string]struct {
		reports map[string]*v1alpha1.NodeReport
		serving string
		want    string
	}{
		"nobody":                      {nil, "a b", "true Programmed listeners are served\ntrue Programmed "},
		"one of two":                  {map[string]*v1alpha1.NodeReport{"b": reportOf("web", "192.0.2.1", 80, "no")}, "a b", "true Programmed listeners are served; some nodes do not serve all of it: see the listeners\ntrue Programmed rejected by the Envoys of b: no"},
		"all":                         {map[string]*v1alpha1.NodeReport{"a": reportOf("web", "192.0.2.1", 80, "no"), "b": reportOf("web", "192.0.2.1", 80, "nor I")}, "a b", "false Pending no listener is served: rejected by every Envoy, on a, b: no\nfalse Pending rejected by every Envoy, on a, b: no"},
		"the only one, at its target": {map[string]*v1alpha1.NodeReport{"a": reportOf("web", "::", 20080, "no")}, "a", "false Pending no listener is served: rejected by every Envoy, on a: no\nfalse Pending rejected by every Envoy, on a: no"},
		"at another's target":         {map[string]*v1alpha1.NodeReport{"a": reportOf("web", "0.0.0.0", 20081, "no")}, "a", "true Programmed listeners are served\ntrue Programmed "},
		"another Gateway":             {map[string]*v1alpha1.NodeReport{"a": reportOf("other", "192.0.2.1", 80, "no")}, "a", "true Programmed listeners are served\ntrue Programmed "},
		"a node that does not serve":  {map[string]*v1alpha1.NodeReport{"c": reportOf("web", "192.0.2.1", 80, "no")}, "a b", "true Programmed listeners are served\ntrue Programmed "},
		"five of six": {map[string]*v1alpha1.NodeReport{
			"a": reportOf("web", "192.0.2.1", 80, "no"), "b": reportOf("web", "192.0.2.1", 80, "no"), "c": reportOf("web", "192.0.2.1", 80, "no"),
			"d": reportOf("web", "192.0.2.1", 80, "no"), "e": reportOf("web", "192.0.2.1", 80, "no"),
		}, "a b c d e f", "true Programmed listeners are served; some nodes do not serve all of it: see the listeners\ntrue Programmed rejected by the Envoys of a, b, c and 2 more: no"},
		"routes": {map[string]*v1alpha1.NodeReport{"a": routesOf("a.example", "*"), "b": routesOf("a.example", "b.example", "c.example")}, "a b",
			`true Programmed listeners are served; some nodes do not serve all of it: see the listeners
true Programmed the routes of "*" are rejected by the Envoys of a: no; the routes of "a.example" are rejected by the Envoys of a, b: no; the routes of "b.example" are rejected by the Envoys of b: no; and those of 1 more hosts`},
	} {
		var l lack
		l.ofReports(gw("web"), p, c.reports, strings.Fields(c.serving))
		got := l.judge(resolved("web", 80))[0]
		if text := shown(got); text != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, text, c.want)
		}
	}
}

// policy is the chart's, for agents in a namespace.
func (w *world) policy() {
	w.t.Helper()
	w.fromChart("nodereports.yaml", "sluice-nodereports")
	w.t.Cleanup(func() { w.Kube(w.t, "delete", "nodereports", "--all") })
}

// agent reaches the API server as a node's agent does: with its rights, and with what
// the server puts into its token.
func (w *world) agent(rights apiserver.Rights, nodes ...string) *rest.Config {
	w.t.Helper()
	config := w.As(w.t, "system:serviceaccount:"+w.system+":sluice-agent", rights)
	if len(nodes) > 0 {
		config.Impersonate.Extra = map[string][]string{"authentication.kubernetes.io/node-name": nodes}
	}
	return config
}

// TestAgentsReportOfTheirNodeOnly tries to get round the chart's policy.
func TestAgentsReportOfTheirNodeOnly(t *testing.T) {
	w := newWorld(t)
	w.policy()
	rights := apiserver.Documented(t, "agent", map[string]string{"sluice-secrets": w.copies, "its own namespace (--namespace)": w.system})
	reports := func(config *rest.Config) dynamic.ResourceInterface {
		client, err := dynamic.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		return client.Resource(v1alpha1.GroupVersion.WithResource("nodereports"))
	}
	ctx := t.Context()
	object := func(name string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "sluice.io/v1alpha1", "kind": "NodeReport", "metadata": map[string]any{"name": name}, "rejected": []any{},
		}}
	}
	apply := func(config *rest.Config, name string) error {
		text, _ := object(name).MarshalJSON()
		force := true
		_, err := reports(config).Patch(ctx, name, types.ApplyPatchType, text, metav1.PatchOptions{FieldManager: "x", Force: &force})
		return err
	}
	one := w.agent(rights, "ghost1")
	w.await("the policy is in force", func() bool {
		err := apply(one, "ghost2")
		_ = reports(w.Config(t)).Delete(ctx, "ghost2", metav1.DeleteOptions{})
		return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "an agent reports of its own node only")
	})
	if err := apply(one, "ghost1"); err != nil {
		t.Fatalf("a node's own report: %v", err)
	}
	if err := apply(w.Config(t), "ghost2"); err != nil {
		t.Fatalf("an administrator: %v", err)
	}
	generated := object("")
	generated.SetGenerateName("ghost")
	merge := []byte(`{"rejected":[{"gateway":{"namespace":"a","name":"b"},"address":"192.0.2.1","port":1,"protocol":"TCP","message":"x"}]}`)
	for what, try := range map[string]func() error{
		"another node's, applied": func() error { return apply(one, "ghost2") },
		"another node's, patched": func() error {
			_, err := reports(one).Patch(ctx, "ghost2", types.MergePatchType, merge, metav1.PatchOptions{})
			return err
		},
		"another node's, made":     func() error { _, err := reports(one).Create(ctx, object("ghost3"), metav1.CreateOptions{}); return err },
		"another node's, removed":  func() error { return reports(one).Delete(ctx, "ghost2", metav1.DeleteOptions{}) },
		"all nodes', removed":      func() error { return reports(one).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}) },
		"a name that is generated": func() error { _, err := reports(one).Create(ctx, generated, metav1.CreateOptions{}); return err },
		"a token of no pod":        func() error { return apply(w.agent(rights), "ghost1") },
		"a token of two nodes":     func() error { return apply(w.agent(rights, "ghost2", "ghost1"), "ghost1") },
		"a node's name in part":    func() error { return apply(w.agent(rights, "ghost"), "ghost1") },
	} {
		if err := try(); !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v, want that it is forbidden", what, err)
		}
	}
	if err := reports(one).Delete(ctx, "ghost1", metav1.DeleteOptions{}); err != nil {
		t.Errorf("a node's own report, removed: %v", err)
	}
}

// TestRejectionsReachStatuses: from an agent to the Gateway, with the rights that are
// documented, and back.
func TestRejectionsReachStatuses(t *testing.T) {
	w := newWorld(t)
	w.node("ghost1", "10.9.0.1")
	w.pool(`"192.0.2.226"`)
	w.policy()
	w.gateway("gw", "")
	w.run()
	w.await("programmed", func() bool { return condition(w.readGateway("gw"), status.Programmed) == "True Programmed" })
	rights := apiserver.Documented(t, "agent", map[string]string{"sluice-secrets": w.copies, "its own namespace (--namespace)": w.system})
	var mu sync.Mutex
	var now []model.Rejected
	reject := func(all ...model.Rejected) { mu.Lock(); defer mu.Unlock(); now = all }
	reporter, err := report.New(report.Config{
		Config: w.agent(rights, "ghost1"), Node: "ghost1", Log: slog.New(slog.DiscardHandler),
		Rejected: func() ([]model.Rejected, bool) { mu.Lock(); defer mu.Unlock(); return now, true },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- reporter.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	at := model.Rejected{Port: model.PortKey{Gateway: model.GatewayKey{Namespace: w.ns, Name: "gw"}, Port: 80, Protocol: model.TCP}, At: netip.MustParseAddrPort("192.0.2.226:80"), Message: "address already in use"}
	reject(at)
	w.await("the Gateway says what is rejected", func() bool {
		g := w.readGateway("gw")
		return condition(g, status.Programmed) == "False Pending" && strings.Contains(message(g), "address already in use")
	})
	owner := w.Kube(t, "get", "nodereport", "ghost1", "-o", "jsonpath={.metadata.ownerReferences[0].uid}")
	if uid := w.Kube(t, "get", "node", "ghost1", "-o", "jsonpath={.metadata.uid}"); owner != uid {
		t.Errorf("the report is owned by %q, and the node is %q", owner, uid)
	}
	w.node("ghost2", "10.9.0.2")
	w.await("another node serves", func() bool {
		g := w.readGateway("gw")
		return condition(g, status.Programmed) == "True Programmed" && strings.Contains(fmt.Sprint(g.Status.Listeners[0].Conditions), "rejected by the Envoys of ghost1")
	})
	reject()
	w.await("nothing is rejected any more", func() bool {
		return message(w.readGateway("gw")) == "listeners are served" && read[v1alpha1.NodeReport](w, "/apis/sluice.io/v1alpha1/nodereports/ghost1") == nil
	})
}
