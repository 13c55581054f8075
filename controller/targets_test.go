package controller

import (
	"log/slog"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/rest"

	"sluice.io/sluice/controller/object"
	"sluice.io/sluice/controller/pool"
	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
)

func serviceAt(name string, target int32, said string) *corev1.Service {
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, CreationTimestamp: metav1.NewTime(time.Unix(1_800_000_000, 0))}}
	svc.Labels = map[string]string{object.ManagedBy: object.Manager, "gateway.networking.k8s.io/gateway-name": name}
	svc.Annotations = map[string]string{object.Applied: "digest"}
	svc.Spec.Ports = []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromInt32(target)}}
	if said != "" {
		svc.Status.Conditions = []metav1.Condition{{Type: "Theirs"}, {Type: v1alpha1.ServiceConditionTargets, Message: said}}
	}
	return svc
}

func bareTerm() *term {
	return &term{ports: newPorts(), dirty: map[model.GatewayKey]bool{}, pools: pool.New(slog.New(slog.DiscardHandler))}
}

// TestTargetsAreLearnedFromStatuses proves that a Service made to look like ours
// takes no target from the Gateway that has it, whichever is read first.
func TestTargetsAreLearnedFromStatuses(t *testing.T) {
	key := func(name string) model.PortKey {
		return model.PortKey{Gateway: gw(name), Port: 80, Protocol: model.TCP}
	}
	forged, genuine := serviceAt("mine", 20001, ""), serviceAt("web", 20001, "Gateway web: 80/TCP=20001")
	stripped := serviceAt("stripped", 20002, "Gateway stripped: 80/TCP=20002")
	stripped.Labels = nil
	tm := bareTerm()
	for _, svc := range []*corev1.Service{forged, genuine, stripped} {
		tm.learnTargets(nil, svc)
	}
	for name, want := range map[string]uint16{"web": 20001, "stripped": 20002} {
		if got, err := tm.ports.get(key(name)); err != nil || got != want {
			t.Errorf("%s has %d, %v, want %d", name, got, err, want)
		}
	}
	if got, err := tm.ports.get(key("mine")); err != nil || got == 20001 || got == 20002 {
		t.Errorf("mine has %d, %v", got, err)
	}
	tm.learnTargets(stripped, nil)
	if !tm.dirty[gw("stripped")] {
		t.Error("the Gateway of a Service that has gone is not looked at")
	}
}

// idleTerm is a term of which nobody fulfils the wishes.
func idleTerm(t *testing.T) *term {
	t.Helper()
	c, err := New(Options{Config: &rest.Config{}, Namespace: "n", Identity: "i", Copies: "c", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	tm, err := newTerm(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ended(tm.statuses.Run); ended(tm.objects.Run) })
	return tm
}

// TestWhoseAServiceIs: what counts is its status, its labels, and whether it is the one
// that was ours.
func TestWhoseAServiceIs(t *testing.T) {
	tm := idleTerm(t)
	ref := model.ObjectRef{Kind: kindService, Namespace: "shop", Name: "web"}
	const said = "Gateway web: 80/TCP=20001"
	for i, c := range []struct {
		uid      types.UID
		labelled bool
		said     string
		ours     bool
	}{
		{"1", false, "", false},
		{"1", true, "", true},
		{"1", false, "", true}, // its labels have gone
		{"1", false, "", true}, // and something else changed
		{"2", false, "", false},
		{"2", false, said, true}, // an earlier leader's, whose labels have gone
		{"3", false, "", false},
		{"3", true, said, true},
	} {
		svc := serviceAt("web", 20001, c.said)
		svc.UID = c.uid
		if !c.labelled {
			svc.Labels = nil
		}
		tm.takeService(ref, svc)
		if got := tm.owners[ref] == gw("web") && tm.servicesOf[gw("web")][ref]; got != c.ours || (tm.nameTaken(gw("web"), ref) == "") != c.ours {
			t.Errorf("step %d: ours is %v, and of the name is said %q", i, got, tm.nameTaken(gw("web"), ref))
		}
	}
	if tm.takeService(ref, nil); len(tm.owners) > 0 || len(tm.servicesOf) > 0 || tm.nameTaken(gw("web"), ref) != "" {
		t.Errorf("of one that has gone is left %v, %v", tm.owners, tm.servicesOf)
	}
}

// TestStatusesOfServicesAreComparedAsWritten proves that nothing is written that is
// there already.
func TestStatusesOfServicesAreComparedAsWritten(t *testing.T) {
	live := serviceAt("web", 20001, "")
	ports := []servicePort{{model.PortKey{Gateway: gw("web"), Port: 80, Protocol: model.TCP}, 20001}}
	said := targetsSaid("web", ports, live)
	for _, c := range []struct {
		pooled  bool
		ingress []corev1.LoadBalancerIngress
	}{{false, nil}, {true, ingressOf(nil)}, {true, ingressOf(addrs("192.0.2.1"))}} {
		want := serviceStatus(c.ingress, said)
		svc := live.DeepCopy()
		if c.pooled {
			class := poolClass
			svc.Spec.LoadBalancerClass = &class
			svc.Status.LoadBalancer.Ingress = c.ingress
		} else {
			svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "198.51.100.1"}}
		}
		if string(statusOf(svc)) == string(want) {
			t.Errorf("without the condition it counts as written: %s", want)
		}
		svc.Status.Conditions = append([]metav1.Condition{{Type: "Theirs"}}, said...)
		if got := statusOf(svc); string(got) != string(want) {
			t.Errorf("there is %s, want %s", got, want)
		}
	}
}
