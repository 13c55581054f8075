package controller

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/controller/status"
	"sluice.io/sluice/model"
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
		gateway, sets := c.lack.amend(c.gateway, []*model.Status{c.set})
		if got := shown(gateway); got != c.want {
			t.Errorf("%s: the Gateway is\n%s\nwant\n%s", name, got, c.want)
		}
		if got := shown(sets[0]); got != c.wanted {
			t.Errorf("%s: the ListenerSet is\n%s\nwant\n%s", name, got, c.wanted)
		}
		if shown(c.gateway)+shown(c.set) != before {
			t.Errorf("%s: what resolve holds was changed", name)
		}
	}
}

// TestWhatIsWrongAlreadyStaysSo: resolve's own reasons go first, and an address
// that is missing is explained.
func TestWhatIsWrongAlreadyStaysSo(t *testing.T) {
	st := resolved("web", 80)
	st.Conditions[1] = withheld("AddressNotUsable", "192.0.2.1 is another's")
	if got, _ := (&lack{all: "no node", address: "none is free"}).amend(st, nil); got.Condition(status.Programmed).Message != "192.0.2.1 is another's" {
		t.Errorf("Programmed is %+v", got.Condition(status.Programmed))
	}
	st.Conditions[1] = withheld(status.AddressNotAssigned, "no address is assigned yet")
	got, _ := (&lack{address: "none is free"}).amend(st, nil)
	if c := got.Condition(status.Programmed); c.Message != "no address is assigned yet; none is free" || c.Reason != status.AddressNotAssigned {
		t.Errorf("Programmed is %+v", c)
	}
	if got, sets := (&lack{all: "x"}).amend(nil, []*model.Status{nil}); got != nil || len(sets) != 1 || sets[0] != nil {
		t.Errorf("of nothing becomes %v, %v", got, sets)
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
	got, _ := l.amend(resolved("web", 80), nil)
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
