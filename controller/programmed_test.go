package controller

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/controller/status"
	"sluice.io/sluice/model"
	"sluice.io/sluice/test/apiserver"
)

// resolved is a status as resolve gives it, with a listener for each port; a
// negative port's is not accepted.
func resolved(gateway string, ports ...int) *model.Status {
	st := &model.Status{Gateway: gw(gateway), Conditions: []model.Condition{
		{Type: "Accepted", Status: true, Reason: "Accepted"}, {Type: status.Programmed, Status: true, Reason: "Programmed", Message: "listeners are served"},
	}}
	for i, p := range ports {
		c := model.Condition{Type: status.Programmed, Status: p > 0, Reason: "Programmed"}
		if p < 0 {
			c.Reason, c.Message, p = "Invalid", "it is not accepted", -p
		}
		st.Listeners = append(st.Listeners, model.ListenerStatus{Name: fmt.Sprint("l", i), Port: uint16(p), Protocol: "HTTP", Conditions: []model.Condition{c}})
	}
	return st
}

// shown is Programmed of a status and of each of its listeners.
func shown(st *model.Status) string {
	say := func(c *model.Condition) string { return fmt.Sprintf("%v %s %s", c.Status, c.Reason, c.Message) }
	all := []string{say(st.Condition(status.Programmed))}
	for i := range st.Listeners {
		all = append(all, say(&st.Listeners[i].Conditions[0]))
	}
	return strings.Join(all, "\n")
}

// judge has a lack amend statuses, of whose listeners none is served yet.
func (l *lack) judge(all ...*model.Status) []*model.Status {
	var said []judged
	for _, st := range all {
		said = append(said, judged{status: st})
	}
	return l.amend(said)
}

func portLack(gateway string, ports ...uint16) map[model.PortKey]string {
	all := map[model.PortKey]string{}
	for _, p := range ports {
		all[model.PortKey{Gateway: gw(gateway), Port: p, Protocol: model.TCP}] = fmt.Sprintf("no target for %d", p)
	}
	return all
}

// TestWhatLacksIsNotProgrammed goes through what a Gateway and a ListenerSet of
// it can lack.
func TestWhatLacksIsNotProgrammed(t *testing.T) {
	const served = "true Programmed "
	for name, c := range map[string]struct {
		lack         lack
		gateway, set *model.Status
		want, wanted string
	}{
		"nothing": {lack{}, resolved("web", 80), resolved("web", 81),
			served + "listeners are served\n" + served, served + "listeners are served\n" + served},
		"no node": {lack{all: "no node's Envoy is ready"}, resolved("web", 80, -81), resolved("web", 82),
			"false Pending no node's Envoy is ready\nfalse Pending no node's Envoy is ready\nfalse Invalid it is not accepted",
			"false ParentNotProgrammed Gateway shop/web: no node's Envoy is ready\nfalse Pending no node's Envoy is ready"},
		"one port": {lack{ports: portLack("web", 81)}, resolved("web", 80, 81), resolved("web", 81),
			served + "listeners are served\n" + served + "\nfalse Pending no target for 81",
			"false Pending no listener is served: see their conditions\nfalse Pending no target for 81"},
		"the Gateway's ports": {lack{ports: portLack("web", 80)}, resolved("web", 80), resolved("web", 81),
			served + "listeners are served\nfalse Pending no target for 80", served + "listeners are served\n" + served},
		"every port": {lack{ports: portLack("web", 80, 81)}, resolved("web", 80, -82), resolved("web", 81),
			"false Pending no listener is served: no target for 80\nfalse Pending no target for 80\nfalse Invalid it is not accepted",
			"false ParentNotProgrammed Gateway shop/web: no listener is served: no target for 80\nfalse Pending no target for 81"},
		"another Gateway's port": {lack{ports: portLack("other", 80)}, resolved("web", 80), resolved("web", 81),
			served + "listeners are served\n" + served, served + "listeners are served\n" + served},
	} {
		before := shown(c.gateway) + shown(c.set)
		said := c.lack.judge(c.gateway, c.set)
		if got := shown(said[0]); got != c.want {
			t.Errorf("%s: the Gateway is\n%s\nwant\n%s", name, got, c.want)
		}
		if got := shown(said[1]); got != c.wanted {
			t.Errorf("%s: the ListenerSet is\n%s\nwant\n%s", name, got, c.wanted)
		}
		if shown(c.gateway)+shown(c.set) != before {
			t.Errorf("%s: what resolve holds was changed", name)
		}
	}
}

// TestWithoutAnAgentNothingNewIsServed: what is served stays so, and says what it
// waits for.
func TestWithoutAnAgentNothingNewIsServed(t *testing.T) {
	l := lack{fresh: "no agent", ports: portLack("web", 82)}
	served := map[string]bool{"l0": true, "l2": true}
	for name, c := range map[string]struct {
		gateway, set map[string]bool
		want, wanted string
	}{
		"all is new": {nil, nil, "false Pending no agent\nfalse Pending no agent\nfalse Pending no agent\nfalse Pending no agent",
			"false ParentNotProgrammed Gateway shop/web: no agent\nfalse Pending no agent"},
		"one listener is new": {served, nil, "true Programmed listeners are served; no agent\ntrue Programmed \nfalse Pending no agent\nfalse Pending no target for 82",
			"false Pending no listener is served: see their conditions\nfalse Pending no agent"},
		"only the ListenerSet's is not": {nil, served, "true Programmed listeners are served; no agent\nfalse Pending no agent\nfalse Pending no agent\nfalse Pending no agent",
			"true Programmed listeners are served\ntrue Programmed "},
	} {
		said := l.amend([]judged{{status: resolved("web", 80, 81, 82), served: c.gateway}, {status: resolved("web", 83), served: c.set}})
		if got := shown(said[0]); got != c.want {
			t.Errorf("%s: the Gateway is\n%s\nwant\n%s", name, got, c.want)
		}
		if got := shown(said[1]); got != c.wanted {
			t.Errorf("%s: the ListenerSet is\n%s\nwant\n%s", name, got, c.wanted)
		}
	}
}

// TestWhatIsWrongAlreadyStaysSo: resolve's own reasons go first, and an address
// that is missing is explained.
func TestWhatIsWrongAlreadyStaysSo(t *testing.T) {
	st := resolved("web", 80)
	st.Conditions[1] = withheld("AddressNotUsable", "192.0.2.1 is another's")
	if got := (&lack{all: "no node", address: "none is free"}).judge(st)[0]; got.Condition(status.Programmed).Message != "192.0.2.1 is another's" {
		t.Errorf("Programmed is %+v", got.Condition(status.Programmed))
	}
	st.Conditions[1] = withheld(status.AddressNotAssigned, "no address is assigned yet")
	got := (&lack{address: "none is free"}).judge(st)[0]
	if c := got.Condition(status.Programmed); c.Message != "no address is assigned yet; none is free" || c.Reason != status.AddressNotAssigned {
		t.Errorf("Programmed is %+v", c)
	}
	if got := (&lack{all: "x"}).judge(nil, nil); len(got) != 2 || got[0] != nil || got[1] != nil {
		t.Errorf("of nothing becomes %v", got)
	}
}

// TestExhaustedPorts: a Gateway without a port of the nodes is told so.
func TestExhaustedPorts(t *testing.T) {
	tm := bareTerm()
	for i := range uint16(lastTarget - firstTarget + 1) {
		tm.ports.user[firstTarget+i] = model.PortKey{Gateway: gw("others"), Port: i}
	}
	g := &gatewayv1.Gateway{Spec: gatewayv1.GatewaySpec{Listeners: []gatewayv1.Listener{{Port: 80, Protocol: "HTTP"}}}}
	var l lack
	if ports := tm.portsOf(gw("web"), g, &l); len(ports) != 0 {
		t.Fatalf("there are ports %v", ports)
	}
	got := l.judge(resolved("web", 80))[0]
	if text := shown(got); !strings.HasPrefix(text, "false Pending no listener is served: all ports of the nodes") || l.log == "" {
		t.Errorf("it is %s, and the log says %q", text, l.log)
	}
}

func message(g *gatewayv1.Gateway) string {
	for _, c := range g.Status.Conditions {
		if c.Type == status.Programmed && c.ObservedGeneration == g.Generation {
			return c.Message
		}
	}
	return ""
}

func (w *world) readSet(name string) *gatewayv1.ListenerSet {
	return read[gatewayv1.ListenerSet](w, "/apis/gateway.networking.k8s.io/v1/namespaces/"+w.ns+"/listenersets/"+name)
}

// TestNotProgrammedWithoutADataPlane: nothing is status.Programmed while no Envoy is
// ready, and it is so again when the last one goes.
func TestNotProgrammedWithoutADataPlane(t *testing.T) {
	w := newWorld(t)
	w.pool(`"192.0.2.160/28"`)
	w.gateway("gw", "allowedListeners: {namespaces: {from: Same}}")
	w.Apply(t, fmt.Sprintf("apiVersion: gateway.networking.k8s.io/v1\nkind: ListenerSet\nmetadata: {name: more, namespace: %s}\nspec: {parentRef: {name: gw}, listeners: [{name: a, port: 81, protocol: HTTP}]}\n", w.ns))
	w.run()
	all := func(want, set string) func() bool {
		return func() bool {
			g, s := w.readGateway("gw"), w.readSet("more")
			if condition(g, status.Programmed) != want || len(g.Status.Listeners) != 1 || len(s.Status.Listeners) != 1 {
				return false
			}
			return describe(g.Status.Listeners[0].Conditions) == want && describe(s.Status.Conditions) == set && describe(s.Status.Listeners[0].Conditions) == want
		}
	}
	idle := all("False Pending", "False ParentNotProgrammed")
	w.await("not status.Programmed without an Envoy", idle)
	if g := w.readGateway("gw"); message(g) != "no node's Envoy is ready" || addressList(g) != "192.0.2.160" {
		t.Errorf("Programmed says %q, at %s", message(g), addressList(g))
	}
	w.node("ghost1", "10.9.0.1")
	w.await("status.Programmed with one", all("True Programmed", "True Programmed"))
	w.ready("ghost1", "10.9.0.1", false)
	w.await("and no more when it is not ready", idle)
	w.node("ghost2", "10.9.0.2")
	w.await("another node serves", all("True Programmed", "True Programmed"))
	w.Kube(t, "delete", "pod", "-n", w.system, "envoy-ghost2", "--force", "--grace-period=0")
	w.await("it has gone", idle)
}

// TestNothingNewIsServedWithoutAnAgent: a Gateway that comes while no agent is ready
// waits for one; those that are served stay so, also under a new leader, and where they
// are.
func TestNothingNewIsServedWithoutAnAgent(t *testing.T) {
	w := newWorld(t)
	w.pool(`"192.0.2.208/29"`)
	w.node("ghost1", "10.9.0.1")
	w.node("ghost2", "10.9.0.2")
	w.gateway("old", "")
	first := w.run()
	is := func(name, want, says string) func() bool {
		return func() bool {
			g := w.readGateway(name)
			return condition(g, status.Programmed) == want && len(g.Status.Listeners) == 1 && describe(g.Status.Listeners[0].Conditions) == want &&
				strings.Contains(message(g), says)
		}
	}
	answers := func(gateway string) string {
		for _, a := range w.readPool().Status.Assignments {
			if a.Gateway.Name == gateway {
				return a.Node
			}
		}
		return ""
	}
	w.await("it is served", func() bool { return is("old", "True Programmed", "")() && answers("old") != "" })
	here := answers("old")
	there := map[string]string{"ghost1": "ghost2", "ghost2": "ghost1"}[here]

	w.agentReady(here, false)
	w.await("it says where the agent is missing", is("old", "True Programmed", "leads to node "+here+", whose agent is not ready"))
	if now := answers("old"); now != here {
		t.Errorf("the address went from %s to %q with the agent", here, now)
	}
	for i := range 4 { // of which some would come to that node
		w.gateway(fmt.Sprint("new", i), "")
	}
	for i := range 4 {
		name := fmt.Sprint("new", i)
		w.await(name+" is served by the other node", func() bool { return is(name, "True Programmed", "")() && answers(name) == there })
	}

	w.agentReady(there, false)
	w.await("it says that there is no agent", is("old", "True Programmed", "of no node that serves the agent is ready"))
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	w.start(w.options(w.Config(t), "two"))
	w.gateway("late", "")
	w.await("nobody takes up what is new", is("late", "False Pending", "of no node that serves the agent is ready"))
	if !is("old", "True Programmed", "of no node")() || answers("old") != here || answers("new0") != there {
		t.Errorf("under a new leader: %q, at %q and %q", message(w.readGateway("old")), answers("old"), answers("new0"))
	}

	w.agentReady("ghost1", true)
	w.agentReady("ghost2", true)
	for _, name := range []string{"late", "old", "new0"} {
		w.await(name+" is served", is(name, "True Programmed", ""))
		w.await(name+" waits for nothing", func() bool { return message(w.readGateway(name)) == "listeners are served" })
	}
}

// describe shows Programmed among conditions.
func describe(conditions []metav1.Condition) string {
	for _, c := range conditions {
		if c.Type == status.Programmed {
			return string(c.Status) + " " + c.Reason
		}
	}
	return ""
}

// TestARefusedServiceIsTold: what the API server says of a Service that cannot be
// made stands in the Gateway's status.
func TestARefusedServiceIsTold(t *testing.T) {
	w := newWorld(t)
	w.node("ghost1", "10.9.0.1")
	w.Apply(t, fmt.Sprintf("apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: q, namespace: %s}\nspec: {hard: {services: \"0\"}}\n", w.ns))
	w.await("the quota is in force", func() bool {
		return w.Kube(t, "get", "resourcequota", "-n", w.ns, "q", "-o", "jsonpath={.status.hard.services}") == "0"
	})
	w.gateway("gw", "")
	w.run()
	w.await("the quota is named", func() bool {
		return strings.Contains(message(w.readGateway("gw")), "exceeded quota: q")
	})
	w.Kube(t, "delete", "resourcequota", "-n", w.ns, "q")
	w.await("it is tried again, and the message goes", func() bool {
		return w.service("gw-"+w.class) != nil && message(w.readGateway("gw")) != "" && !strings.Contains(message(w.readGateway("gw")), "quota")
	})
}

// TestWhatIsRefusedIsTold: what the API server says of EndpointSlices and copies that
// may not be made, and of a Service that may not be changed, stands in the statuses of
// what waits for them, and goes when they are there.
func TestWhatIsRefusedIsTold(t *testing.T) {
	const user = "slt-refused"
	w := newWorld(t)
	w.node("ghost1", "10.9.0.1")
	w.pool(`"192.0.2.144/29"`)
	may := func(rights apiserver.Rights, what, where, answer string) {
		w.As(t, user, rights)
		w.await("the rights are in force", func() bool {
			out, _ := w.Kubectl(t.Context(), "auth", "can-i", "patch", what, "-n", where, "--as="+user) // "no" is an exit code, too
			return strings.TrimSpace(out) == answer
		})
	}
	refuse := func(what, where string) { may(w.rights().Without(t, what, "patch"), what, where, "no") }
	allow := func(what, where string) { may(w.rights(), what, where, "yes") }
	listener := func(name string, at int, want string, says ...string) func() bool {
		return func() bool {
			g := w.readGateway(name)
			if len(g.Status.Listeners) <= at || describe(g.Status.Listeners[at].Conditions) != want {
				return false
			}
			text := fmt.Sprint(g.Status.Listeners[at].Conditions)
			return !slices.ContainsFunc(says, func(s string) bool { return !strings.Contains(text, s) })
		}
	}

	refuse("endpointslices", w.ns)
	w.gateway("gw", "")
	w.start(w.options(w.As(t, user, w.rights().Without(t, "endpointslices", "patch")), "one"))
	w.await("the slices are named", listener("gw", 0, "False Pending", "no EndpointSlice leads to port 80/TCP yet", `cannot patch resource "endpointslices"`))
	if g := w.readGateway("gw"); condition(g, status.Programmed) != "False Pending" || !strings.Contains(message(g), `cannot patch resource "endpointslices"`) {
		t.Errorf("the Gateway is %s: %s", condition(g, status.Programmed), message(g))
	}
	allow("endpointslices", w.ns)
	served := func() bool {
		return listener("gw", 0, "True Programmed")() && message(w.readGateway("gw")) == "listeners are served"
	}
	w.await("it is served", served)

	refuse("services", w.ns)
	w.Kube(t, "patch", "gateway", "-n", w.ns, "gw", "--type=json", "-p", `[{"op":"add","path":"/spec/listeners/-","value":{"name":"more","port":81,"protocol":"HTTP"}}]`)
	w.await("the Service is named", listener("gw", 1, "False Pending", "does not lead to port 81/TCP yet", `cannot patch resource "services"`))
	w.await("the other listener is served", served)
	allow("services", w.ns)
	w.await("both are served", func() bool { return listener("gw", 1, "True Programmed")() && served() })

	refuse("secrets", w.copies)
	cert, key := certificate(t, "a.example.com")
	w.Apply(t, fmt.Sprintf("apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {name: cert, namespace: %s}\ndata: {tls.crt: %s, tls.key: %s}\n", w.ns, cert, key))
	w.Kube(t, "patch", "gateway", "-n", w.ns, "gw", "--type=json", "-p", `[{"op":"add","path":"/spec/listeners/-","value":{"name":"https","port":443,"protocol":"HTTPS","tls":{"certificateRefs":[{"name":"cert"}]}}}]`)
	w.await("the copy is named", listener("gw", 2, "False Pending", "the copy of Secret "+w.ns+"/cert for agents is not there yet", `cannot patch resource "secrets"`))
	w.await("the other listeners are served", func() bool { return listener("gw", 1, "True Programmed")() && served() })
	allow("secrets", w.copies)
	w.await("all are served", func() bool { return listener("gw", 2, "True Programmed")() && served() })
	if text := fmt.Sprint(w.readGateway("gw").Status.Listeners); strings.Contains(text, "cannot patch") {
		t.Errorf("trouble that is over is still told: %s", text)
	}
}
