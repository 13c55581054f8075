package xds_test

import (
	"testing"

	"sluice.io/sluice/model"
)

// TestPortTakenInPod: a workload on whose loopback somebody has Envoy's port makes
// Envoy's main thread stay in the workload's network namespace. What gateways are
// told of afterwards is bound on the node all the same, and their connections to
// backends start there; also in an Envoy that starts with such a workload, whose
// workers are there, too. Package netns does not let it come to that.
func TestPortTakenInPod(t *testing.T) {
	for name, early := range map[string]bool{"while it runs": false, "as it starts": true} {
		t.Run(name, func(t *testing.T) {
			e, poison := newEdge(t), model.NewDelta()
			p := e.pod("shop", "poisoned")
			p.listen(15001)
			poison.Workloads[p.key] = p.workload()
			if early {
				e.apply(poison)
			} else {
				e.apply(model.NewDelta())
			}
			eventually(t, "Envoy live", func() bool { return e.super.Status().Live })
			if !early {
				e.apply(poison)
			}
			eventually(t, "Envoy to reject it", func() bool { return len(e.world.server.Status().Rejected) > 0 })
			d := model.NewDelta()
			gateway(d, 80, []string{"203.0.113.1", "2001:db8::1"}, webChain())
			domain(d, 80, "web", "*", to("/", weighted("one", 1)))
			service(d, "one", model.AppAuto, at(e.server.v4, 8081))
			e.apply(d)
			serves := func(when string) {
				t.Helper()
				for _, c := range []visitor{{from: e.client, to: "203.0.113.1:80"}, {from: e.node, to: "203.0.113.1:80"}, {from: e.node, to: "[2001:db8::1]:80"}} {
					if resp, _, err := c.ask("http://any.org/"); err != nil || resp.Header.Get("Backend") != "one" {
						t.Errorf("%s, %s from %s: %v %v", when, c.to, c.from.netns, resp, err)
					}
				}
			}
			serves("a thread is astray")
			eventually(t, "the supervisor to notice, and to restart Envoy", func() bool {
				st := e.super.Status()
				return st.Astray > 0 && st.Epoch > 0
			})
			serves("after a hot restart")
		})
	}
}
